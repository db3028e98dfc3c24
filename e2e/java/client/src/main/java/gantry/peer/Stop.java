package gantry.peer;

/** Stops what runs under {@code name}: a consumer shuts down, which commits its offsets. */
public final class Stop implements Verb {
    @Override
    public String name() {
        return "stop";
    }

    @Override
    public void run(Call call) {
        call.peers().stop(call.text("name"));
    }
}
