package gantry.peer;

import java.util.HashMap;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** Creates {@code topic} with {@code queues} queues as a plain producer can, on every broker of the template topic. */
public final class CreateTopic implements Verb {
    @Override
    public String name() {
        return "createTopic";
    }

    @Override
    public void run(Call call) throws Exception {
        DefaultMQProducer producer = call.peers().producer(call);
        String topic = call.text("topic");
        create(producer, topic, call.integer("queues", 4));
        Peers.await("a route of " + topic, 10_000, () -> {
            try {
                return !producer.fetchPublishMessageQueues(topic).isEmpty();
            } catch (Exception e) {
                return false;
            }
        });
    }

    /** 4.9 and 5.x differ in whether the call takes attributes. */
    private static void create(DefaultMQProducer producer, String topic, int queues) throws Exception {
        try {
            DefaultMQProducer.class.getMethod("createTopic", String.class, String.class, int.class, java.util.Map.class)
                    .invoke(producer, "TBW102", topic, queues, new HashMap<String, String>());
        } catch (NoSuchMethodException e) {
            DefaultMQProducer.class.getMethod("createTopic", String.class, String.class, int.class)
                    .invoke(producer, "TBW102", topic, queues);
        }
    }
}
