package gantry.peer;

import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** The clients that are running. Producers and query clients are started on first use and kept. */
public final class Peers {
    private final String namesrv;
    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, Runnable> stops = new ConcurrentHashMap<>();
    private DefaultMQPullConsumer query;

    Peers(String namesrv) {
        this.namesrv = namesrv;
    }

    public String namesrv() {
        return namesrv;
    }

    /** What all clients here have in common. */
    public void configure(ClientConfig client, Call call, String instance) {
        client.setNamesrvAddr(call.text("namesrv", namesrv));
        client.setInstanceName(instance);
        client.setClientIP("127.0.0.1");
        client.setPollNameServerInterval(call.integer("pollRoutesMillis", 1_000));
        client.setHeartbeatBrokerInterval(call.integer("heartbeatMillis", 1_000));
        client.setPersistConsumerOffsetInterval(call.integer("persistMillis", 500));
    }

    public synchronized DefaultMQProducer producer(Call call) throws Exception {
        String group = call.text("group", "e2e-producers");
        DefaultMQProducer producer = producers.get(group);
        if (producer == null) {
            producer = new DefaultMQProducer(group);
            configure(producer, call, "producer-" + group);
            producer.setSendMsgTimeout(call.integer("timeoutMillis", 3_000));
            producer.setRetryTimesWhenSendFailed(call.integer("retries", 2));
            producer.setRetryTimesWhenSendAsyncFailed(call.integer("retries", 2));
            producer.setDefaultTopicQueueNums(call.integer("topicQueues", 4));
            producer.start();
            producers.put(group, producer);
        }
        return producer;
    }

    /** A client that only asks: offsets, messages by id. */
    @SuppressWarnings("deprecation")
    public synchronized DefaultMQPullConsumer query(Call call) throws Exception {
        if (query == null) {
            query = new DefaultMQPullConsumer("e2e-queries");
            configure(query, call, "queries");
            query.start();
        }
        return query;
    }

    /** Remembers how to stop what runs under a name. */
    public void running(String name, Runnable stop) {
        if (stops.putIfAbsent(name, stop) != null) {
            throw new IllegalStateException("something runs as " + name + " already");
        }
    }

    public void stop(String name) {
        Runnable stop = stops.remove(name);
        if (stop == null) {
            throw new IllegalStateException("nothing runs as " + name);
        }
        stop.run();
    }

    @SuppressWarnings("deprecation")
    void close() {
        stops.values().forEach(Runnable::run);
        producers.values().forEach(DefaultMQProducer::shutdown);
        if (query != null) {
            query.shutdown();
        }
    }

    /** Asks until the answer is yes; for states that a client does not announce. */
    public static void await(String what, long millis, Callable<Boolean> answer) throws Exception {
        long end = System.nanoTime() + millis * 1_000_000;
        while (!answer.call()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("not within " + millis + " ms: " + what);
            }
            Thread.sleep(10);
        }
    }
}
