/**
 * The names and shapes of pyroscope-java 2: who comes from there changes the imports, from {@code
 * io.pyroscope.…} to {@code sondage.compat}, and {@code -javaagent:pyroscope.jar} to {@code
 * -javaagent:sondage.jar=compat=pyroscope}. What has no effect says so once, on the error output.
 */
package sondage.compat;
