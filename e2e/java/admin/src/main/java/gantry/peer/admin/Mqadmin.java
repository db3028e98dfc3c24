package gantry.peer.admin;

import com.google.gson.JsonObject;
import gantry.peer.Call;
import gantry.peer.Verb;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.List;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs the mqadmin command {@code args} in this process and emits what it printed as {@code printed}. The command's own
 * {@code -n} is added. Commands run one at a time, since they print to the process's one standard output.
 */
public final class Mqadmin implements Verb {
    @Override
    public String name() {
        return "mqadmin";
    }

    @Override
    public void run(Call call) throws Exception {
        synchronized (Mqadmin.class) {
            List<String> args = call.texts("args");
            args.add("-n");
            args.add(call.peers().namesrv());
            PrintStream out = System.out;
            PrintStream err = System.err;
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            PrintStream capture = new PrintStream(printed, true, "UTF-8");
            System.setOut(capture);
            System.setErr(capture);
            try {
                MQAdminStartup.main0(args.toArray(new String[0]), null);
            } finally {
                System.setOut(out);
                System.setErr(err);
            }
            JsonObject event = new JsonObject();
            event.addProperty("text", printed.toString("UTF-8"));
            call.emit("printed", event);
        }
    }
}
