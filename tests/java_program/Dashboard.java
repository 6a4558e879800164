import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;

/** A small program as one would write it: connects, looks around, writes a batch, asks, cancels. */
public final class Dashboard {
    public static void main(String[] arguments) throws Exception {
        Properties login = new Properties();
        for (int i = 1; i + 1 < arguments.length; i += 2) {
            login.setProperty(arguments[i], arguments[i + 1]);
        }
        try (Connection connection = DriverManager.getConnection(arguments[0], login)) {
            look(connection);
            write(connection);
            ask(connection);
            cancel(connection);
        }
    }

    private static void look(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        System.out.println("server " + about.getDatabaseProductName());
        try (ResultSet columns = about.getColumns(null, "main", "sales", "%")) {
            while (columns.next()) {
                System.out.println("column " + columns.getString("COLUMN_NAME") + " " + columns.getInt("DATA_TYPE"));
            }
        }
    }

    private static void write(Connection connection) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO sales VALUES (?, ?, ?)")) {
            for (int i = 1; i <= 3; i++) {
                insert.setDate(1, Date.valueOf("2024-01-0" + i));
                insert.setString(2, i == 2 ? null : "shop " + i);
                insert.setBigDecimal(3, new BigDecimal(i).setScale(2));
                insert.addBatch();
            }
            System.out.println("written " + Arrays.toString(insert.executeBatch()));
        }
    }

    private static void ask(Connection connection) throws SQLException {
        String sql = "SELECT day, shop, price FROM sales WHERE day >= ? ORDER BY day LIMIT ?";
        try (PreparedStatement query = connection.prepareStatement(sql)) {
            query.setQueryTimeout(60);
            query.setDate(1, Date.valueOf("2024-01-02"));
            query.setLong(2, 10);
            try (ResultSet rows = query.executeQuery()) {
                while (rows.next()) {
                    System.out.println("row " + rows.getDate(1) + " " + rows.getString(2) + " " + rows.getBigDecimal(3));
                }
            }
        }
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement slow = connection.createStatement()) {
            Thread other = new Thread(() -> {
                try {
                    Thread.sleep(300);
                    slow.cancel();
                } catch (InterruptedException | SQLException error) {
                    System.out.println("not cancelled: " + error);
                }
            });
            other.start();
            try (ResultSet rows = slow.executeQuery("SELECT i FROM range(100000000000) t(i)")) {
                while (rows.next()) {
                    rows.getLong(1);
                }
                System.out.println("ended");
            } catch (SQLException | RuntimeException error) {
                System.out.println("cancelled");
            }
            other.join();
        }
    }
}
