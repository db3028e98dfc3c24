package gantry.peer;

import com.google.gson.JsonObject;
import java.util.Collection;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Runs a lite pull consumer under {@code name} until {@code stop}: {@code group}, {@code topic}, {@code expression}.
 * With {@code assign} it takes all queues of the topic by hand and seeks to {@code seek} (begin, end) in each; otherwise
 * it subscribes. Commits by hand after each poll. Emits {@code got}; the call is done when the consumer stops, or after
 * {@code millis}.
 */
public final class LitePull implements Verb {
    @Override
    public String name() {
        return "litePull";
    }

    @Override
    public void run(Call call) throws Exception {
        String name = call.text("name");
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(call.text("group"));
        call.peers().configure(consumer, call, name);
        consumer.setAutoCommit(false);
        consumer.setPollTimeoutMillis(200);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        AtomicBoolean stopped = new AtomicBoolean();
        if (!call.flag("assign")) {
            consumer.subscribe(call.text("topic"), call.text("expression", "*"));
        }
        consumer.start();
        if (call.flag("assign")) {
            assign(call, consumer);
        }
        call.peers().running(name, () -> stopped.set(true));
        call.emit("started", new JsonObject());
        long end = System.nanoTime() + call.number("millis", Long.MAX_VALUE / 4_000_000) * 1_000_000;
        try {
            while (!stopped.get() && System.nanoTime() < end) {
                for (MessageExt message : consumer.poll()) {
                    call.emit("got", Messages.got(message));
                }
                commit(consumer);
            }
        } finally {
            consumer.shutdown();
        }
    }

    private static void assign(Call call, DefaultLitePullConsumer consumer) throws Exception {
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(call.text("topic"));
        consumer.assign(queues);
        for (MessageQueue queue : queues) {
            if ("end".equals(call.text("seek", "begin"))) {
                consumer.seekToEnd(queue);
            } else {
                consumer.seekToBegin(queue);
            }
        }
    }

    @SuppressWarnings("deprecation")
    private static void commit(DefaultLitePullConsumer consumer) {
        consumer.commitSync();
    }
}
