package gantry.peer;

/** One thing that a client can be told to do. Found by {@link java.util.ServiceLoader}. */
public interface Verb {
    /** The value of {@code verb} in a call. */
    String name();

    /** Does it, emitting events; returning means done, throwing means failed. */
    void run(Call call) throws Exception;
}
