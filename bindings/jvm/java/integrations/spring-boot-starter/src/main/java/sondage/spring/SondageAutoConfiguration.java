package sondage.spring;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnWebApplication;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Lazy;
import org.springframework.core.Ordered;
import org.springframework.core.task.TaskDecorator;
import org.springframework.web.servlet.DispatcherServlet;
import org.springframework.web.servlet.config.annotation.AsyncSupportConfigurer;
import org.springframework.web.servlet.config.annotation.InterceptorRegistry;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;

import jakarta.servlet.DispatcherType;

import sondage.Labels;
import sondage.servlet.LabelFilter;

/** Starts the profiler by the settings {@code sondage.*}, and labels requests with their route. */
@AutoConfiguration
@EnableConfigurationProperties(SondageProperties.class)
public class SondageAutoConfiguration {
    @Bean
    @Lazy(false)
    Profiler sondageProfiler(SondageProperties properties,
            @Value("${spring.application.name:}") String application) {
        return new Profiler(properties, application);
    }

    /** Lets what {@code @Async} methods do take labels along. */
    @Bean
    @ConditionalOnMissingBean(TaskDecorator.class)
    TaskDecorator sondageTaskDecorator() {
        return Labels::wrap;
    }

    /** For Spring MVC. */
    @Configuration(proxyBeanMethods = false)
    @ConditionalOnWebApplication(type = ConditionalOnWebApplication.Type.SERVLET)
    @ConditionalOnClass(DispatcherServlet.class)
    static class Requests implements WebMvcConfigurer {
        private final RouteInterceptor routes = new RouteInterceptor();

        @Bean
        FilterRegistrationBean<LabelFilter> sondageLabelFilter() {
            FilterRegistrationBean<LabelFilter> filter =
                    new FilterRegistrationBean<>(new LabelFilter());
            filter.setOrder(Ordered.HIGHEST_PRECEDENCE);
            filter.setDispatcherTypes(DispatcherType.REQUEST, DispatcherType.ASYNC,
                    DispatcherType.ERROR);
            return filter;
        }

        @Override
        public void addInterceptors(InterceptorRegistry registry) {
            registry.addInterceptor(routes).order(Ordered.HIGHEST_PRECEDENCE);
        }

        @Override
        public void configureAsyncSupport(AsyncSupportConfigurer configurer) {
            configurer.registerCallableInterceptors(routes);
        }
    }
}
