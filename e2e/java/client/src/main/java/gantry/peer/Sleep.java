package gantry.peer;

/** Waits {@code millis}; for scripts without a driver. */
public final class Sleep implements Verb {
    @Override
    public String name() {
        return "sleep";
    }

    @Override
    public void run(Call call) throws Exception {
        Thread.sleep(call.number("millis", 0));
    }
}
