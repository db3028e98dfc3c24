import java.util.BitSet;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Consumes until it is told to end, and prints, for each run of {@link Produce}, which of its messages have come:
 * how many different ones, and how many came again; and when no more come, the numbers of those that are missing.
 *
 * <p>Arguments: name server, topic, group.
 */
public final class Consume {
  private static final int TICK_MILLIS = 500;
  private static final int QUIET_TICKS = 10;
  private static final int LISTED = 2_000;

  /** What has come of one run. */
  private static final class Run {
    private final int count;
    private final BitSet seen = new BitSet();
    private int duplicates;
    private int ticksSinceChange;

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
      ticksSinceChange = 0;
    }

    String missing() {
      return IntStream.range(0, count).filter(number -> !seen.get(number)).limit(LISTED)
          .mapToObj(Integer::toString).collect(Collectors.joining(","));
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
      Thread.sleep(TICK_MILLIS);
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
      int quiet = run.ticksSinceChange++;
      if (quiet == 0) {
        System.out.printf("run=%s received=%d of=%d duplicates=%d%n", name, run.seen.cardinality(), run.count, run.duplicates);
      } else if (quiet == QUIET_TICKS && run.seen.cardinality() < run.count) {
        System.out.printf("run=%s missing=%s%n", name, run.missing());
      }
    });
  }
}
