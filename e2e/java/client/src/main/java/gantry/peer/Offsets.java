package gantry.peer;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Emits {@code queue} for each queue of {@code topic}: smallest and largest offset, time of the earliest message, the
 * offset at {@code atMillis} if given, and what {@code group} has committed (-1: nothing) if given.
 */
@SuppressWarnings("deprecation")
public final class Offsets implements Verb {
    @Override
    public String name() {
        return "offsets";
    }

    @Override
    public void run(Call call) throws Exception {
        DefaultMQPullConsumer client = call.peers().query(call);
        List<MessageQueue> queues = new ArrayList<>(client.fetchSubscribeMessageQueues(call.text("topic")));
        queues.sort(null);
        for (MessageQueue queue : queues) {
            JsonObject event = new JsonObject();
            event.addProperty("broker", queue.getBrokerName());
            event.addProperty("queueId", queue.getQueueId());
            event.addProperty("min", client.minOffset(queue));
            event.addProperty("max", client.maxOffset(queue));
            event.addProperty("earliestMillis", client.earliestMsgStoreTime(queue));
            if (call.has("atMillis")) {
                event.addProperty("at", client.searchOffset(queue, call.number("atMillis", 0)));
            }
            if (call.has("group")) {
                event.addProperty("committed", committed(call, queue));
            }
            call.emit("queue", event);
        }
    }

    /** A client commits and reads in its own group only, so this one gets a short life of its own. */
    private static long committed(Call call, MessageQueue queue) throws Exception {
        DefaultMQPullConsumer client = new DefaultMQPullConsumer(call.text("group"));
        call.peers().configure(client, call, "committed-" + call.id());
        client.start();
        try {
            return client.fetchConsumeOffset(queue, true);
        } finally {
            client.shutdown();
        }
    }
}
