/* The variable by which threads publish their contexts (OTEP 4947): in the program, or in a library. */
struct record;
__thread struct record *volatile otel_thread_ctx_v1;

void attach(struct record *record)
{
	otel_thread_ctx_v1 = record;
}
