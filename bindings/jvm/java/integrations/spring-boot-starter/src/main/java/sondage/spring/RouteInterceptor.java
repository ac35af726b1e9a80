package sondage.spring;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.Callable;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;

import org.springframework.web.context.request.NativeWebRequest;
import org.springframework.web.context.request.async.CallableProcessingInterceptor;
import org.springframework.web.servlet.AsyncHandlerInterceptor;
import org.springframework.web.servlet.HandlerMapping;

import sondage.Labels;

/**
 * Labels the work of handlers with their route: the template, which is known as soon as a handler was
 * found. Also what a handler returns for another thread, as a {@link Callable}.
 */
final class RouteInterceptor implements AsyncHandlerInterceptor, CallableProcessingInterceptor {
    private static final String SCOPES = RouteInterceptor.class.getName() + ".scopes";
    private static final String CALLABLE = RouteInterceptor.class.getName() + ".callable";

    @Override
    public boolean preHandle(HttpServletRequest request, HttpServletResponse response,
            Object handler) {
        scopes(request).push(enter(request));
        return true;
    }

    @Override
    public void afterCompletion(HttpServletRequest request, HttpServletResponse response,
            Object handler, Exception problem) {
        leave(request);
    }

    @Override
    public void afterConcurrentHandlingStarted(HttpServletRequest request,
            HttpServletResponse response, Object handler) {
        leave(request);
    }

    @Override
    public <T> void preProcess(NativeWebRequest request, Callable<T> task) {
        HttpServletRequest servlet = request.getNativeRequest(HttpServletRequest.class);
        servlet.setAttribute(CALLABLE, enter(servlet));
    }

    @Override
    public <T> void postProcess(NativeWebRequest request, Callable<T> task, Object result) {
        HttpServletRequest servlet = request.getNativeRequest(HttpServletRequest.class);
        if (servlet.getAttribute(CALLABLE) instanceof Labels.Scope scope) {
            scope.close();
        }
    }

    private static Labels.Scope enter(HttpServletRequest request) {
        Object pattern = request.getAttribute(HandlerMapping.BEST_MATCHING_PATTERN_ATTRIBUTE);
        return Labels.of("route", pattern == null ? "[none]" : pattern.toString());
    }

    private static void leave(HttpServletRequest request) {
        Labels.Scope scope = scopes(request).poll();
        if (scope != null) {
            scope.close();
        }
    }

    /** A request may be forwarded to another handler within the first one. */
    @SuppressWarnings("unchecked")
    private static Deque<Labels.Scope> scopes(HttpServletRequest request) {
        Deque<Labels.Scope> scopes = (Deque<Labels.Scope>) request.getAttribute(SCOPES);
        if (scopes == null) {
            scopes = new ArrayDeque<>();
            request.setAttribute(SCOPES, scopes);
        }
        return scopes;
    }
}
