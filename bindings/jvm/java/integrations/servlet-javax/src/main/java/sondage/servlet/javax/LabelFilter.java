package sondage.servlet.javax;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

import javax.servlet.DispatcherType;
import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.FilterConfig;
import javax.servlet.ServletException;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.annotation.WebFilter;
import javax.servlet.http.HttpServletRequest;

import sondage.Labels;

/**
 * Labels requests with their {@code method} and their {@code route}: the pattern by which the servlet
 * was found, such as {@code /orders/*}, never a URL. A servlet that finds its handlers itself adds
 * the route by {@link Labels#of}, as Sondage's starter does for Spring.
 *
 * <p>Containers that look for annotations find it by itself. Servlet 4.0 or later.
 */
@WebFilter(filterName = "sondage", urlPatterns = "/*", asyncSupported = true,
        dispatcherTypes = {DispatcherType.REQUEST, DispatcherType.ASYNC, DispatcherType.ERROR})
public class LabelFilter implements Filter {
    /** The route of a request that has none. */
    private static final String NONE = "[none]";

    /** Servlets that take every request: their pattern says nothing. */
    private static final Set<String> ALL = new HashSet<String>(Arrays.asList("", "/", "/*"));

    /** Whoever asks can make methods up, and so would make labels up. */
    private static final Set<String> METHODS = new HashSet<String>(Arrays.asList("GET", "HEAD",
            "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"));

    @Override
    public void init(FilterConfig config) {}

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        if (!(request instanceof HttpServletRequest)) {
            chain.doFilter(request, response);
            return;
        }
        HttpServletRequest http = (HttpServletRequest) request;
        try (Labels.Scope scope = Labels.of("route", route(http), "method", method(http))) {
            chain.doFilter(request, response);
        }
    }

    private static String route(HttpServletRequest request) {
        String pattern = request.getHttpServletMapping().getPattern();
        return pattern == null || ALL.contains(pattern) ? NONE : pattern;
    }

    private static String method(HttpServletRequest request) {
        return METHODS.contains(request.getMethod()) ? request.getMethod() : "[other]";
    }

    @Override
    public void destroy() {}
}
