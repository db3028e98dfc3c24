package gantry.peer;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;

/** One call: its arguments, and the way back for its events. */
public final class Call {
    private final JsonObject request;
    private final Peers peers;
    private final Consumer<JsonObject> sink;

    Call(JsonObject request, Peers peers, Consumer<JsonObject> sink) {
        this.request = request;
        this.peers = peers;
        this.sink = sink;
    }

    public Peers peers() {
        return peers;
    }

    public long id() {
        return number("id", 0);
    }

    public String text(String key) {
        JsonElement value = request.get(key);
        if (value == null) {
            throw new IllegalArgumentException("the call lacks " + key + ": " + request);
        }
        return value.getAsString();
    }

    public String text(String key, String otherwise) {
        return request.has(key) ? request.get(key).getAsString() : otherwise;
    }

    public long number(String key, long otherwise) {
        return request.has(key) ? request.get(key).getAsLong() : otherwise;
    }

    public int integer(String key, int otherwise) {
        return (int) number(key, otherwise);
    }

    public boolean flag(String key) {
        return request.has(key) && request.get(key).getAsBoolean();
    }

    public boolean has(String key) {
        return request.has(key);
    }

    public List<String> texts(String key) {
        List<String> values = new ArrayList<>();
        if (request.has(key)) {
            for (JsonElement element : (JsonArray) request.get(key)) {
                values.add(element.getAsString());
            }
        }
        return values;
    }

    public void emit(String name, JsonObject event) {
        JsonObject line = new JsonObject();
        line.addProperty("id", id());
        line.addProperty("event", name);
        for (String key : event.keySet()) {
            line.add(key, event.get(key));
        }
        sink.accept(line);
    }

    /** The exception as an event: text, and the response code where it has one. */
    public static JsonObject describe(Throwable e) {
        JsonObject event = new JsonObject();
        StringBuilder error = new StringBuilder(String.valueOf(e));
        for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
            error.append(" because of ").append(cause);
        }
        event.addProperty("error", error.toString());
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof MQBrokerException) {
                event.addProperty("code", ((MQBrokerException) cause).getResponseCode());
                return event;
            }
            if (cause instanceof MQClientException && ((MQClientException) cause).getResponseCode() > 0) {
                event.addProperty("code", ((MQClientException) cause).getResponseCode());
                return event;
            }
        }
        return event;
    }
}
