import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.Filter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpServletResponseWrapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
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
 * client "scoter". The arguments are the catalog's properties. If the file that the property "lent" names exists, the
 * properties in it are sent with every table.
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
        var lent = Path.of(properties.getOrDefault("lent", "/nowhere"));
        context.addFilter(new FilterHolder(lending(lent)), "/*", EnumSet.of(DispatcherType.REQUEST));
        var server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(context);
        server.start();
        System.out.println("ready " + server.getURI().getPort());
        System.in.read(); // until the test that started it closes its end
        System.exit(0);
    }

    /** Adds the properties in a file, if it exists, to what is sent with a table. */
    private static Filter lending(Path file) {
        return (request, response, chain) -> {
            if (!Files.exists(file)) {
                chain.doFilter(request, response);
                return;
            }
            var text = new StringWriter();
            var held = new HttpServletResponseWrapper((HttpServletResponse) response) {
                @Override
                public PrintWriter getWriter() {
                    return new PrintWriter(text);
                }

                @Override
                public void setStatus(int status) {
                    // The servlet changes it once more when an answer has been sent, and then no longer can.
                    if (text.getBuffer().isEmpty()) {
                        super.setStatus(status);
                    }
                }
            };
            // An answer with other properties is another one, of which the servlet knows nothing.
            var asked = new HttpServletRequestWrapper((HttpServletRequest) request) {
                @Override
                public Enumeration<String> getHeaderNames() {
                    var names = Collections.list(super.getHeaderNames());
                    names.removeIf("If-None-Match"::equalsIgnoreCase);
                    return Collections.enumeration(names);
                }
            };
            chain.doFilter(asked, held);
            var answer = text.toString();
            if (new ObjectMapper().readTree(answer) instanceof ObjectNode table && table.has("metadata")) {
                var lent = new Properties();
                try (var reader = Files.newBufferedReader(file)) {
                    lent.load(reader);
                }
                var config = table.withObject("/config");
                lent.forEach((name, value) -> config.put((String) name, (String) value));
                answer = table.toString();
            }
            response.getWriter().write(answer);
        };
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
