package gantry.peer;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Sends {@code count} messages to {@code topic}; {@code mode} is sync, async, oneway, batch (of {@code batch}), ordered
 * (queue chosen by index modulo {@code shards}) or queue (all to {@code queueId} of {@code broker}). Emits {@code sent}
 * for each acknowledged message and {@code unsent} for each other. With a {@code name} it can be stopped early.
 */
public final class Produce implements Verb {
    private static final int IN_FLIGHT = 256;

    @Override
    public String name() {
        return "produce";
    }

    @Override
    public void run(Call call) throws Exception {
        DefaultMQProducer producer = call.peers().producer(call);
        AtomicBoolean stopped = new AtomicBoolean();
        if (call.has("name")) {
            call.peers().running(call.text("name"), () -> stopped.set(true));
        }
        int count = call.integer("count", 1);
        int batch = "batch".equals(call.text("mode", "sync")) ? call.integer("batch", 8) : 1;
        Semaphore inFlight = new Semaphore(IN_FLIGHT);
        for (int index = 0; index < count && !stopped.get(); index += batch) {
            List<Message> messages = new ArrayList<>();
            for (int i = index; i < Math.min(count, index + batch); i++) {
                messages.add(Messages.build(call, i));
            }
            try {
                send(call, producer, messages, index, inFlight);
            } catch (Exception e) {
                unsent(call, messages, e);
            }
        }
        inFlight.acquire(IN_FLIGHT);
    }

    private static void send(
            Call call, DefaultMQProducer producer, List<Message> messages, int index, Semaphore inFlight)
            throws Exception {
        Message message = messages.get(0);
        String mode = call.text("mode", "sync");
        switch (mode) {
            case "sync":
                sent(call, messages, producer.send(message));
                break;
            case "oneway":
                producer.sendOneway(message);
                break;
            case "batch":
                sent(call, messages, producer.send(messages));
                break;
            case "ordered":
                int shard = index % call.integer("shards", 4);
                sent(call, messages, producer.send(message, (queues, m, arg) ->
                        queues.get((Integer) arg % queues.size()), shard));
                break;
            case "queue":
                MessageQueue queue =
                        new MessageQueue(call.text("topic"), call.text("broker"), call.integer("queueId", 0));
                sent(call, messages, producer.send(message, queue));
                break;
            case "async":
                inFlight.acquire();
                sendAsync(call, producer, messages, inFlight);
                break;
            default:
                throw new IllegalArgumentException("mode " + mode);
        }
    }

    private static void sendAsync(Call call, DefaultMQProducer producer, List<Message> messages, Semaphore inFlight)
            throws Exception {
        AtomicBoolean answered = new AtomicBoolean();
        producer.send(messages.get(0), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                if (answered.compareAndSet(false, true)) {
                    sent(call, messages, result);
                    inFlight.release();
                }
            }

            @Override
            public void onException(Throwable e) {
                if (answered.compareAndSet(false, true)) {
                    unsent(call, messages, e);
                    inFlight.release();
                }
            }
        });
    }

    private static void sent(Call call, List<Message> messages, SendResult result) {
        for (int i = 0; i < messages.size(); i++) {
            JsonObject event = Messages.sent(messages.get(i), result);
            // A batch is answered with the offset of its first message.
            event.addProperty("queueOffset", result.getQueueOffset() + i);
            call.emit("sent", event);
        }
    }

    private static void unsent(Call call, List<Message> messages, Throwable e) {
        for (Message message : messages) {
            JsonObject event = Call.describe(e);
            event.addProperty("key", message.getKeys());
            call.emit("unsent", event);
        }
        try {
            // A server that is down refuses at once: don't burn all keys while it starts again.
            Thread.sleep(call.number("pauseMillis", 20));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
