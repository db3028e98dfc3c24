package gantry.peer;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Runs a push consumer under {@code name} until {@code stop}: {@code group}, {@code topic}, {@code expression} (a tag
 * expression), {@code broadcasting}, {@code ordered}, {@code from} (first, last), {@code failures} (deliveries of each
 * key to refuse). Emits {@code assigned} whenever the set of queues changes and {@code got} for each message; the call
 * itself is done with the first assignment that is not empty (or at once, with {@code dontWait}).
 */
public final class Consume implements Verb {
    private static final long ASSIGN_MILLIS = 40_000;

    @Override
    public String name() {
        return "consume";
    }

    @Override
    public void run(Call call) throws Exception {
        String name = call.text("name");
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(call.text("group"));
        call.peers().configure(consumer, call, name);
        consumer.setConsumeFromWhere("last".equals(call.text("from", "first"))
                ? ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET
                : ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        if (call.flag("broadcasting")) {
            broadcast(consumer);
        }
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        consumer.setPullBatchSize(call.integer("pullBatch", 32));
        consumer.setConsumeMessageBatchMaxSize(call.integer("consumeBatch", 1));
        consumer.subscribe(call.text("topic"), call.text("expression", "*"));
        listen(call, consumer);
        consumer.start();
        Thread watch = new Thread(() -> watch(call, consumer), "watch-" + name);
        watch.setDaemon(true);
        watch.start();
        call.peers().running(name, () -> {
            watch.interrupt();
            consumer.shutdown();
        });
        if (!call.flag("dontWait")) {
            Peers.await("queues assigned to " + name, ASSIGN_MILLIS, () -> !assigned(call, consumer).isEmpty());
        }
    }

    /** MessageModel moved to another package between 4.9 and 5.0. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void broadcast(DefaultMQPushConsumer consumer) throws Exception {
        for (Method method : DefaultMQPushConsumer.class.getMethods()) {
            if ("setMessageModel".equals(method.getName())) {
                method.invoke(consumer, Enum.valueOf((Class) method.getParameterTypes()[0], "BROADCASTING"));
            }
        }
    }

    private static void listen(Call call, DefaultMQPushConsumer consumer) {
        Map<String, Integer> refused = new ConcurrentHashMap<>();
        int failures = call.integer("failures", 0);
        if (call.flag("ordered")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                boolean taken = take(call, messages, refused, failures);
                context.setSuspendCurrentQueueTimeMillis(100);
                return taken ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                boolean taken = take(call, messages, refused, failures);
                return taken ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
        }
    }

    private static boolean take(Call call, List<MessageExt> messages, Map<String, Integer> refused, int failures) {
        boolean taken = true;
        for (MessageExt message : messages) {
            boolean refuse = failures > 0 && refused.merge(message.getKeys(), 1, Integer::sum) <= failures;
            JsonObject event = Messages.got(message);
            event.addProperty("refused", refuse);
            call.emit("got", event);
            taken &= !refuse;
        }
        return taken;
    }

    private static void watch(Call call, DefaultMQPushConsumer consumer) {
        Set<String> last = new TreeSet<>();
        while (!Thread.currentThread().isInterrupted()) {
            Set<String> now = assigned(call, consumer);
            if (!now.equals(last)) {
                last = now;
                JsonArray queues = new JsonArray();
                now.forEach(queues::add);
                JsonObject event = new JsonObject();
                event.add("queues", queues);
                call.emit("assigned", event);
            }
            try {
                Thread.sleep(20);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    /** Queues of the call's topic in the consumer's hands; where to start in them is known once they appear here. */
    private static Set<String> assigned(Call call, DefaultMQPushConsumer consumer) {
        Set<String> queues = new TreeSet<>();
        for (MessageQueue queue : consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl()
                .getProcessQueueTable().keySet()) {
            if (queue.getTopic().equals(call.text("topic"))) {
                queues.add(queue.getBrokerName() + ":" + queue.getQueueId());
            }
        }
        return queues;
    }
}
