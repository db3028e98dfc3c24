package gantry.peer;

import java.util.List;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Fetches from {@code topic} the message with {@code msgId} (a client's id or an offset id), or those with {@code key},
 * and emits {@code got} for each.
 */
@SuppressWarnings("deprecation")
public final class View implements Verb {
    private static final int MOST = 32;

    @Override
    public String name() {
        return "view";
    }

    @Override
    public void run(Call call) throws Exception {
        DefaultMQPullConsumer client = call.peers().query(call);
        String topic = call.text("topic");
        if (call.has("key")) {
            QueryResult found = client.queryMessage(topic, call.text("key"), MOST, 0, Long.MAX_VALUE);
            List<MessageExt> messages = found.getMessageList();
            messages.forEach(message -> call.emit("got", Messages.got(message)));
        } else {
            call.emit("got", Messages.got(client.viewMessage(topic, call.text("msgId"))));
        }
    }
}
