import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.common.RemotingHelper;

/**
 * Sends numbered messages, each with its run and its number, and ends when the broker has acknowledged every one.
 *
 * <p>Arguments: name server, topic, run, count. With a fifth, {@code through-failures}, a message that is not
 * acknowledged does not end it: it is printed as unknown (stored or not), never sent again, and the next one follows.
 */
public final class Produce {
  private static final int THREADS = 16;
  private static final int ATTEMPTS = 30;

  public static void main(String[] args) throws Exception {
    String topic = args[1];
    String run = args[2];
    int count = Integer.parseInt(args[3]);
    boolean throughFailures = args.length > 4 && args[4].equals("through-failures");
    DefaultMQProducer producer = new DefaultMQProducer("demo-producer");
    producer.setNamesrvAddr(args[0]);
    producer.setSendMsgTimeout(15_000); // the machine may be busy: five times the default
    producer.start();
    // A send that is tried again may be stored twice, which is not what is shown here: so none is tried
    // unless nothing at all was sent yet, and then the topic may just not have reached the name server.
    producer.setRetryTimesWhenSendFailed(0);
    awaitRoute(producer, topic);

    AtomicInteger next = new AtomicInteger();
    AtomicInteger acknowledged = new AtomicInteger();
    Thread[] threads = new Thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
      threads[i] = new Thread(() -> {
        for (int n = next.getAndIncrement(); n < count; n = next.getAndIncrement()) {
          if (!send(producer, topic, run, count, n)) {
            if (!throughFailures) {
              System.exit(1);
            }
            pause();
            continue;
          }
          int done = acknowledged.incrementAndGet();
          if (done % 10_000 == 0) {
            System.out.printf("run=%s sent=%d of=%d%n", run, done, count);
          }
        }
      });
      threads[i].start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    producer.shutdown();
    System.out.printf("run=%s acknowledged=%d of=%d%n", run, acknowledged.get(), count);
  }

  private static void awaitRoute(DefaultMQProducer producer, String topic) throws Exception {
    for (int i = 1; ; i++) {
      try {
        producer.fetchPublishMessageQueues(topic);
        return;
      } catch (Exception e) {
        if (i == ATTEMPTS) {
          throw e;
        }
        Thread.sleep(1_000);
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(100);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Sends one message, and tells whether it was acknowledged. */
  private static boolean send(DefaultMQProducer producer, String topic, String run, int count, int n) {
    String id = run + "/" + n;
    try {
      Message message = new Message(topic, "demo", id, id.getBytes(RemotingHelper.DEFAULT_CHARSET));
      message.putUserProperty("run", run);
      message.putUserProperty("number", Integer.toString(n));
      message.putUserProperty("count", Integer.toString(count));
      SendStatus status = producer.send(message).getSendStatus();
      if (status != SendStatus.SEND_OK) {
        throw new IllegalStateException(status.toString());
      }
      return true;
    } catch (Exception e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      System.out.printf("run=%s unknown=%d because=%s%n", run, n, cause);
      return false;
    }
  }
}
