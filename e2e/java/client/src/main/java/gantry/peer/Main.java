package gantry.peer;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;

/**
 * Drives an official client by remote control: one JSON object per line on standard input is one call
 * ({@code {"id":1,"verb":"produce",...}}), each answered by any number of event lines and then exactly one
 * {@code done} or {@code failed} line with the same id. Calls run at the same time, each on its own thread, unless the
 * program was started with {@code --in-order}. The end of the input ends the program.
 */
public final class Main {
    private final PrintStream out;
    private final Map<String, Verb> verbs = new HashMap<>();

    private Main(PrintStream out) {
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        boolean inOrder = args.length > 1 && "--in-order".equals(args[1]);
        Main main = new Main(new PrintStream(System.out, false, "UTF-8"));
        // What clients and mqadmin print is no event.
        System.setOut(System.err);
        Peers peers = new Peers(args[0]);
        for (Verb verb : ServiceLoader.load(Verb.class)) {
            main.verbs.put(verb.name(), verb);
        }
        main.serve(peers, inOrder);
        peers.close();
        Runtime.getRuntime().halt(0);
    }

    private void serve(Peers peers, boolean inOrder) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Thread> calls = new ArrayList<>();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            if (line.trim().isEmpty() || line.startsWith("#")) {
                continue;
            }
            JsonObject request = JsonParser.parseString(line).getAsJsonObject();
            Call call = new Call(request, peers, this::print);
            if (inOrder) {
                run(call);
            } else {
                Thread thread = new Thread(() -> run(call), "call-" + call.id());
                thread.setDaemon(true);
                thread.start();
                calls.add(thread);
            }
        }
    }

    private void run(Call call) {
        try {
            Verb verb = verbs.get(call.text("verb"));
            if (verb == null) {
                throw new IllegalArgumentException("no verb " + call.text("verb") + ", there are " + verbs.keySet());
            }
            verb.run(call);
            call.emit("done", new JsonObject());
        } catch (Throwable e) {
            call.emit("failed", Call.describe(e));
        }
    }

    private synchronized void print(JsonObject event) {
        out.println(event);
        out.flush();
    }
}
