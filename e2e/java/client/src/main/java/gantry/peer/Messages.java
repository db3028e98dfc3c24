package gantry.peer;

import com.google.gson.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages whose body follows from key and size, so that a receiver can tell whether it is whole. */
final class Messages {
    private Messages() {
    }

    /** The body of a message: its key, then a pattern up to {@code size} bytes. */
    static byte[] body(String key, int size) {
        byte[] text = (key + ":").getBytes(StandardCharsets.UTF_8);
        byte[] body = Arrays.copyOf(text, Math.max(size, text.length));
        for (int i = text.length; i < body.length; i++) {
            body[i] = (byte) ('a' + i % 26);
        }
        return body;
    }

    static Message build(Call call, int index) {
        String key = key(call, index);
        Message message = new Message(call.text("topic"), body(key, call.integer("size", 64)));
        message.setKeys(key);
        List<String> tags = call.texts("tags");
        if (!tags.isEmpty()) {
            message.setTags(tags.get(index % tags.size()));
        }
        if (call.has("property")) {
            message.putUserProperty("shade", call.text("property"));
        }
        if (call.has("delayLevel")) {
            message.setDelayTimeLevel(call.integer("delayLevel", 0));
        }
        if (call.flag("dontWait")) {
            message.setWaitStoreMsgOK(false);
        }
        return message;
    }

    static String key(Call call, int index) {
        return call.text("keys", "k") + "-" + (call.integer("from", 0) + index);
    }

    static JsonObject sent(Message message, SendResult result) {
        JsonObject event = new JsonObject();
        event.addProperty("key", message.getKeys());
        event.addProperty("tag", message.getTags());
        event.addProperty("status", result.getSendStatus().name());
        event.addProperty("msgId", MessageClientIDSetter.getUniqID(message));
        event.addProperty("offsetMsgId", result.getOffsetMsgId());
        event.addProperty("broker", result.getMessageQueue().getBrokerName());
        event.addProperty("queueId", result.getMessageQueue().getQueueId());
        event.addProperty("queueOffset", result.getQueueOffset());
        return event;
    }

    static JsonObject got(MessageExt message) {
        JsonObject event = new JsonObject();
        event.addProperty("key", message.getKeys());
        event.addProperty("tag", message.getTags());
        event.addProperty("topic", message.getTopic());
        event.addProperty("msgId", message.getMsgId());
        event.addProperty("broker", message.getBrokerName());
        event.addProperty("queueId", message.getQueueId());
        event.addProperty("queueOffset", message.getQueueOffset());
        event.addProperty("bornMillis", message.getBornTimestamp());
        event.addProperty("storeMillis", message.getStoreTimestamp());
        event.addProperty("reconsumeTimes", message.getReconsumeTimes());
        event.addProperty("size", message.getBody().length);
        event.addProperty("shade", message.getUserProperty("shade"));
        event.addProperty("intact", Arrays.equals(message.getBody(), body(message.getKeys(), message.getBody().length)));
        return event;
    }
}
