import jakarta.servlet.DispatcherType;
import jakarta.servlet.Filter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.net.InetSocketAddress;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/**
 * Serves Apache Iceberg's REST catalog over a SQLite file, on a free port of loopback, to who has a token of the
 * client "scoter". The arguments are the catalog's properties.
 */
public final class RestCatalog {
    private static final String TOKEN = "Bearer client-credentials-token:sub=scoter";

    public static void main(String[] arguments) throws Exception {
        Map<String, String> properties = new HashMap<>();
        for (String argument : arguments) {
            int at = argument.indexOf('=');
            properties.put(argument.substring(0, at), argument.substring(at + 1));
        }
        var catalog = CatalogUtil.loadCatalog(
                "org.apache.iceberg.jdbc.JdbcCatalog", "lake", properties, new Configuration());
        var context = new ServletContextHandler();
        context.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
        context.addFilter(new FilterHolder(loggedIn()), "/*", EnumSet.of(DispatcherType.REQUEST));
        var server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(context);
        server.start();
        System.out.println("ready " + server.getURI().getPort());
        System.in.read(); // until the test that started it closes its end
        System.exit(0);
    }

    private static Filter loggedIn() {
        return (request, response, chain) -> {
            var asked = (HttpServletRequest) request;
            if (asked.getRequestURI().endsWith("/oauth/tokens") || TOKEN.equals(asked.getHeader("Authorization"))) {
                chain.doFilter(request, response);
            } else {
                var answer = (HttpServletResponse) response;
                answer.setStatus(401);
                answer.setContentType("application/json");
                answer.getWriter().write(
                        "{\"error\":{\"message\":\"log in\",\"type\":\"NotAuthorizedException\",\"code\":401}}");
            }
        };
    }
}
