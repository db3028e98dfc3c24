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
    @Override
    public String name() {
        return "produce";
    }

    @Override
    public void run(Call call) throws Exception {
        new Sending(call).run();
    }

    /** One call under way. */
    private static final class Sending {
        private static final int IN_FLIGHT = 256;

        private final Call call;
        private final DefaultMQProducer producer;
        private final Semaphore inFlight = new Semaphore(IN_FLIGHT);
        private final AtomicBoolean stopped = new AtomicBoolean();
        /** Set by callbacks, which must not pause themselves: the client sends on the threads that call them. */
        private final AtomicBoolean refused = new AtomicBoolean();

        Sending(Call call) throws Exception {
            this.call = call;
            this.producer = call.peers().producer(call);
        }

        void run() throws Exception {
            if (call.has("name")) {
                call.peers().running(call.text("name"), () -> stopped.set(true));
            }
            int count = call.integer("count", 1);
            int batch = "batch".equals(call.text("mode", "sync")) ? call.integer("batch", 8) : 1;
            for (int index = 0; index < count && !stopped.get(); index += batch) {
                List<Message> messages = new ArrayList<>();
                for (int i = index; i < Math.min(count, index + batch); i++) {
                    messages.add(Messages.build(call, i));
                }
                try {
                    send(messages, index);
                } catch (Exception e) {
                    unsent(messages, e);
                }
                if (refused.getAndSet(false)) {
                    // A server that is down refuses at once: don't burn all keys while it starts again.
                    Thread.sleep(call.number("pauseMillis", 20));
                }
            }
            inFlight.acquire(IN_FLIGHT);
        }

        private void send(List<Message> messages, int index) throws Exception {
            Message message = messages.get(0);
            String mode = call.text("mode", "sync");
            switch (mode) {
                case "sync":
                    sent(messages, producer.send(message));
                    break;
                case "oneway":
                    producer.sendOneway(message);
                    break;
                case "batch":
                    sent(messages, producer.send(messages));
                    break;
                case "ordered":
                    int shard = index % call.integer("shards", 4);
                    sent(messages, producer.send(message, (queues, m, arg) ->
                            queues.get((Integer) arg % queues.size()), shard));
                    break;
                case "queue":
                    MessageQueue queue =
                            new MessageQueue(call.text("topic"), call.text("broker"), call.integer("queueId", 0));
                    sent(messages, producer.send(message, queue));
                    break;
                case "async":
                    inFlight.acquire();
                    sendAsync(messages);
                    break;
                default:
                    throw new IllegalArgumentException("mode " + mode);
            }
        }

        private void sendAsync(List<Message> messages) {
            AtomicBoolean answered = new AtomicBoolean();
            SendCallback callback = new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    if (answered.compareAndSet(false, true)) {
                        sent(messages, result);
                        inFlight.release();
                    }
                }

                @Override
                public void onException(Throwable e) {
                    if (answered.compareAndSet(false, true)) {
                        unsent(messages, e);
                        inFlight.release();
                    }
                }
            };
            try {
                producer.send(messages.get(0), callback);
            } catch (Exception e) {
                callback.onException(e);
            }
        }

        private void sent(List<Message> messages, SendResult result) {
            for (int i = 0; i < messages.size(); i++) {
                JsonObject event = Messages.sent(messages.get(i), result);
                // A batch is answered with the offset of its first message.
                event.addProperty("queueOffset", result.getQueueOffset() + i);
                call.emit("sent", event);
            }
        }

        private void unsent(List<Message> messages, Throwable e) {
            for (Message message : messages) {
                JsonObject event = Call.describe(e);
                event.addProperty("key", message.getKeys());
                call.emit("unsent", event);
            }
            refused.set(true);
        }
    }
}
