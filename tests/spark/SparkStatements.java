import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Runs SQL statements on Apache Spark: reads each as a line of JSON, {"sql": text}, and answers with a line,
 * {"columns": [[name, type], …], "rows": [[value, …], …]} or {"error": text}. The arguments are Spark's settings.
 */
public final class SparkStatements {
    public static void main(String[] arguments) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // what Spark prints is no answer
        SparkSession.Builder builder = SparkSession.builder().master("local[1]");
        for (String argument : arguments) {
            int at = argument.indexOf('=');
            builder = builder.config(argument.substring(0, at), argument.substring(at + 1));
        }
        SparkSession spark = builder.getOrCreate();
        ObjectMapper json = new ObjectMapper();
        answers.println("ready");
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = asked.readLine(); line != null; line = asked.readLine()) {
            answers.println(json.writeValueAsString(answer(spark, json.readTree(line).get("sql").asText())));
        }
        spark.stop();
        System.exit(0);
    }

    private static Map<String, Object> answer(SparkSession spark, String sql) {
        try {
            var result = spark.sql(sql);
            List<Object> columns = new ArrayList<>();
            for (var field : result.schema().fields()) {
                columns.add(List.of(field.name(), field.dataType().simpleString()));
            }
            List<Object> rows = new ArrayList<>();
            for (Row row : result.collectAsList()) {
                rows.add(values(row));
            }
            return Map.of("columns", columns, "rows", rows);
        } catch (Exception | LinkageError error) {
            return Map.of("error", String.valueOf(error));
        }
    }

    private static List<Object> values(Row row) {
        List<Object> values = new ArrayList<>();
        for (int i = 0; i < row.size(); i++) {
            values.add(value(row.get(i)));
        }
        return values;
    }

    /** Returns a value as JSON can hold it without loss: what is no number, text or list of those as {kind: text}. */
    private static Object value(Object value) {
        if (value == null || value instanceof Boolean || value instanceof String) {
            return value;
        } else if (value instanceof Byte || value instanceof Short || value instanceof Integer || value instanceof Long) {
            return value;
        } else if (value instanceof Float || value instanceof Double) {
            double number = ((Number) value).doubleValue();
            return Double.isFinite(number) ? number : Map.of("double", Double.toString(number));
        } else if (value instanceof BigDecimal number) {
            return Map.of("decimal", number.toPlainString());
        } else if (value instanceof byte[] bytes) {
            return Map.of("binary", HexFormat.of().formatHex(bytes));
        } else if (value instanceof Row row) {
            List<Object> fields = new ArrayList<>();
            List<Object> values = values(row);
            for (int i = 0; i < row.size(); i++) {
                fields.add(Arrays.asList(row.schema().fieldNames()[i], values.get(i)));
            }
            return Map.of("struct", fields);
        } else if (value instanceof scala.collection.Map<?, ?> map) {
            List<Object> entries = new ArrayList<>();
            for (var entry : CollectionConverters.asJava(map).entrySet()) {
                entries.add(Arrays.asList(value(entry.getKey()), value(entry.getValue())));
            }
            return Map.of("map", entries);
        } else if (value instanceof scala.collection.Seq<?> items) {
            List<Object> values = new ArrayList<>();
            for (Object item : CollectionConverters.asJava(items)) {
                values.add(value(item));
            }
            return values;
        }
        // java.time's LocalDate, LocalDateTime and Instant, each in ISO 8601
        return Map.of(value.getClass().getSimpleName(), value.toString());
    }
}
