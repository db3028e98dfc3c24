import java.util.BitSet;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Consumes until it is told to end, and prints, for each run of {@link Produce}, which of its messages have come:
 * how many different ones, and how many came again.
 *
 * <p>Arguments: name server, topic, group.
 */
public final class Consume {
  /** What has come of one run. */
  private static final class Run {
    private final int count;
    private final BitSet seen = new BitSet();
    private int duplicates;
    private boolean changed;

    Run(int count) {
      this.count = count;
    }

    void add(int number) {
      if (number < 0 || number >= count) {
        throw new IllegalArgumentException("number " + number + " of " + count);
      }
      if (seen.get(number)) {
        duplicates++;
      }
      seen.set(number);
      changed = true;
    }
  }

  private static final Map<String, Run> RUNS = new TreeMap<>();

  public static void main(String[] args) throws Exception {
    DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(args[2]);
    consumer.setNamesrvAddr(args[0]);
    consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    consumer.subscribe(args[1], "*");
    consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
      messages.forEach(Consume::receive);
      return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
    });
    consumer.start();
    // At the end it tells the broker how far it has come, so that nothing comes again.
    Runtime.getRuntime().addShutdownHook(new Thread(consumer::shutdown));
    System.out.println("consuming");
    while (true) {
      Thread.sleep(500);
      report();
    }
  }

  private static synchronized void receive(MessageExt message) {
    String run = message.getUserProperty("run");
    int number = Integer.parseInt(message.getUserProperty("number"));
    int count = Integer.parseInt(message.getUserProperty("count"));
    if (!new String(message.getBody()).equals(run + "/" + number)) {
      throw new IllegalStateException("the body is not that of " + run + "/" + number);
    }
    RUNS.computeIfAbsent(run, name -> new Run(count)).add(number);
  }

  private static synchronized void report() {
    RUNS.forEach((name, run) -> {
      if (run.changed) {
        System.out.printf("run=%s received=%d of=%d duplicates=%d%n", name, run.seen.cardinality(), run.count, run.duplicates);
        run.changed = false;
      }
    });
  }
}
