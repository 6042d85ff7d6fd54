package example;

import com.amazon.sqs.javamessaging.AmazonSQSExtendedClient;
import com.amazon.sqs.javamessaging.ExtendedClientConfiguration;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.Message;

/**
 * Reads the events of a queue and acts once on each: adds up the revenue of placed orders, by currency.
 *
 * <pre>
 * mvn package
 * QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/210987654321/events \
 *     java -cp 'target/consumer-1.jar:target/dependency/*' example.Consumer
 * </pre>
 *
 * The queue is subscribed with raw message delivery. The act and the identity of its event are stored in one transaction,
 * in the H2 database DATABASE ({@code ./consumer} if unset). STOP_WHEN_IDLE=1 ends the program when the queue is empty.
 * PRINT_EVENTS=1 prints the type, the id and the SHA-256 of the JSON of each event that the program acts on.
 */
public final class Consumer {
    private static final Set<String> KNOWN_STATUSES = Set.of("ORDER_STATUS_PENDING", "ORDER_STATUS_PAID");
    private static final boolean PRINT_EVENTS = "1".equals(System.getenv("PRINT_EVENTS"));
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Connection database;

    private Consumer(Connection database) throws SQLException {
        this.database = database;
        database.setAutoCommit(false);
        try (var statement = database.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS seen (event_type VARCHAR(512), event_id VARCHAR(128),"
                    + " PRIMARY KEY (event_type, event_id))");
            // The amounts are text, because an amount of 64 bits can grow beyond 64 bits.
            statement.execute("CREATE TABLE IF NOT EXISTS revenue (currency VARCHAR PRIMARY KEY, minor VARCHAR)");
        }
        database.commit();
    }

    /** Returns a client that fetches the JSON of large events from S3. */
    private static SqsClient client(SqsClient sqs, S3Client s3) {
        // The client stores what it sends in this bucket. This program sends nothing, and a pointer names its bucket.
        String bucket = "unused";
        // `false` keeps the objects. By default the client deletes the object with the message, and other readers fail.
        var settings = new ExtendedClientConfiguration().withPayloadSupportEnabled(s3, bucket, false);
        return new AmazonSQSExtendedClient(sqs, settings);
    }

    /** Acts on one event. Ignores types and fields that it does not know. */
    private void act(String eventType, String body) throws Exception {
        if (!eventType.equals("shop.v1.OrderPlaced")) {
            return;
        }
        JsonNode order = JSON.readTree(body);
        // A new enum value is a name that this program does not know. A number is a value that protobridge does not know.
        String status = order.path("status").asText("ORDER_STATUS_UNSPECIFIED");
        if (!KNOWN_STATUSES.contains(status)) {
            System.out.println("order " + order.path("orderId").asText() + " has the unknown status " + status);
        }
        // An absent field has its default. 64-bit integers are strings.
        String currency = order.path("total").path("currency").asText("");
        BigInteger minor = new BigInteger(order.path("total").path("amountMinor").asText("0"));
        if (currency.isEmpty()) {
            return;
        }
        try (var store = database.prepareStatement("MERGE INTO revenue VALUES (?, ?)")) {
            store.setString(1, currency);
            store.setString(2, new BigInteger(revenue().getOrDefault(currency, "0")).add(minor).toString());
            store.execute();
        }
    }

    /** Acts on a message unless its event was acted on before. Returns whether it acted. */
    private boolean process(Message message) throws Exception {
        try {
            String eventType = attribute(message, "event-type");
            String eventId = attribute(message, "event-id");
            boolean isNew = remember(eventType, eventId);
            if (isNew) {
                act(eventType, message.body());
            }
            database.commit();
            if (isNew && PRINT_EVENTS) {
                System.out.println("event " + eventType + " " + eventId + " " + sha256(message.body()));
            }
            return isNew;
        } catch (Exception error) {
            database.rollback();
            throw error;
        }
    }

    /** Stores the identity of an event. Returns false if it is stored already. */
    private boolean remember(String eventType, String eventId) throws SQLException {
        String sql = "INSERT INTO seen SELECT ?, ? WHERE NOT EXISTS"
                + " (SELECT 1 FROM seen WHERE event_type = ? AND event_id = ?)";
        try (var insert = database.prepareStatement(sql)) {
            insert.setString(1, eventType);
            insert.setString(2, eventId);
            insert.setString(3, eventType);
            insert.setString(4, eventId);
            return insert.executeUpdate() == 1;
        }
    }

    private Map<String, String> revenue() throws SQLException {
        var revenue = new TreeMap<String, String>();
        try (var query = database.createStatement(); var rows = query.executeQuery("SELECT * FROM revenue")) {
            while (rows.next()) {
                revenue.put(rows.getString(1), rows.getString(2));
            }
        }
        return revenue;
    }

    private static String sha256(String text) throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(hash);
    }

    private static String attribute(Message message, String name) {
        var value = message.messageAttributes().get(name);
        if (value == null) {
            throw new IllegalArgumentException("no attribute " + name + "; subscribe with RawMessageDelivery=true");
        }
        return value.stringValue();
    }

    public static void main(String[] arguments) throws Exception {
        String queue = System.getenv("QUEUE_URL");
        boolean stopWhenIdle = "1".equals(System.getenv("STOP_WHEN_IDLE"));
        String path = System.getenv().getOrDefault("DATABASE", "./consumer");
        try (var database = DriverManager.getConnection("jdbc:h2:file:" + path);
                var s3 = S3Client.create();
                var sqs = client(SqsClient.create(), s3)) {
            var consumer = new Consumer(database);
            int acted = 0;
            int repeated = 0;
            while (true) {
                var messages = sqs.receiveMessage(request -> request.queueUrl(queue).maxNumberOfMessages(10)
                        .waitTimeSeconds(stopWhenIdle ? 1 : 20).messageAttributeNames("All")).messages();
                for (Message message : messages) {
                    try {
                        if (consumer.process(message)) {
                            acted++;
                        } else {
                            repeated++;
                        }
                    } catch (Exception error) {
                        // The message comes back, and moves to the dead-letter queue in the end.
                        System.out.println("message " + message.messageId() + ": " + error);
                        continue;
                    }
                    // Delete after the commit: a crash in between repeats the event, and the table of seen events skips it.
                    sqs.deleteMessage(request -> request.queueUrl(queue).receiptHandle(message.receiptHandle()));
                }
                if (stopWhenIdle && messages.isEmpty()) {
                    break;
                }
            }
            var report = new TreeMap<String, Object>(
                    Map.of("acted", acted, "repeated", repeated, "revenue", consumer.revenue()));
            System.out.println(JSON.writeValueAsString(report));
        }
    }
}
