import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.protocol.Errors;

/** A process around Kafka's Java clients of any release, driven by lines: see client-program.ts. */
class JavaProgram {
    interface Reader extends AutoCloseable {
        void subscribe(List<String> topics);

        ConsumerRecords<String, String> poll(Duration timeout);
    }

    private final String broker;
    private final Map<String, KafkaProducer<String, String>> producers = new HashMap<>();
    private final Queue<String> arrived = new ArrayDeque<>();
    private Reader reader;

    private JavaProgram(String broker) {
        this.broker = broker;
    }

    public static void main(String[] arguments) throws Exception {
        JavaProgram program = new JavaProgram(arguments[0]);
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            List<String> words = Arrays.asList(line.split(" "));
            try {
                System.out.println(program.obey(words.get(0), words.subList(1, words.size())));
            } catch (Exception error) {
                System.out.println(errorName(error));
            }
        }
        System.exit(0);
    }

    private String obey(String order, List<String> words) throws Exception {
        switch (order) {
            case "produce":
                return produce(words.get(0), words.get(1), words.subList(2, words.size()));
            case "consume":
                return consume(words.get(0), words.subList(1, words.size()));
            case "next":
                return next();
            case "leave":
                reader.close();
                return "ok";
            default:
                throw new IllegalArgumentException(order);
        }
    }

    private String produce(String mode, String value, List<String> topics) {
        KafkaProducer<String, String> producer = producers.computeIfAbsent(mode, this::producer);
        boolean transactional = mode.equals("transactional");
        if (transactional) producer.beginTransaction();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String topic : topics) {
            sent.add(producer.send(new ProducerRecord<>(topic, value)));
            if (transactional) producer.flush();
        }
        producer.flush();
        List<String> outcomes = new ArrayList<>();
        for (int index = 0; index < sent.size(); index += 1) {
            String outcome = "ok";
            try {
                sent.get(index).get();
            } catch (Exception error) {
                outcome = errorName(error);
            }
            outcomes.add(topics.get(index) + "=" + outcome);
        }
        if (transactional) outcomes.add("transaction=" + end(producer));
        return String.join(" ", outcomes);
    }

    private String end(KafkaProducer<String, String> producer) {
        try {
            producer.commitTransaction();
            return "committed";
        } catch (RuntimeException error) {
            producer.abortTransaction();
            return "aborted";
        }
    }

    private KafkaProducer<String, String> producer(String mode) {
        Map<String, Object> settings = settings();
        // Until flush(): what is sent to several topics leaves in one request.
        settings.put("linger.ms", 60_000);
        settings.put("enable.idempotence", !mode.equals("plain"));
        if (mode.equals("transactional")) settings.put("transactional.id", UUID.randomUUID().toString());
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings);
        if (mode.equals("transactional")) producer.initTransactions();
        return producer;
    }

    private String consume(String mode, List<String> topics) throws Exception {
        arrived.clear();
        Map<String, Object> settings = settings();
        settings.put("group.id", UUID.randomUUID().toString());
        if (mode.equals("share")) {
            // By its name: older releases have no such consumer.
            reader = (Reader) Class.forName("ShareReader").getConstructor(Map.class).newInstance(settings);
        } else {
            settings.put("auto.offset.reset", "earliest");
            settings.put("group.protocol", mode);
            reader = memberOf(settings);
        }
        reader.subscribe(topics);
        return "ok";
    }

    private static Reader memberOf(Map<String, Object> settings) {
        KafkaConsumer<String, String> member = new KafkaConsumer<>(settings);
        return new Reader() {
            @Override
            public void subscribe(List<String> topics) {
                member.subscribe(topics);
            }

            @Override
            public ConsumerRecords<String, String> poll(Duration timeout) {
                return member.poll(timeout);
            }

            @Override
            public void close() {
                member.close();
            }
        };
    }

    private String next() {
        while (arrived.isEmpty()) {
            reader.poll(Duration.ofSeconds(1)).forEach(record -> arrived.add(record.topic() + ":" + record.value()));
        }
        return arrived.remove();
    }

    private Map<String, Object> settings() {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", broker);
        settings.put("client.id", "java");
        for (String side : List.of("key", "value")) {
            settings.put(side + ".serializer", "org.apache.kafka.common.serialization.StringSerializer");
            settings.put(side + ".deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        }
        return settings;
    }

    private static String errorName(Throwable error) {
        Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
        Errors known = Errors.forException(cause);
        return known == Errors.UNKNOWN_SERVER_ERROR ? cause.toString() : known.name();
    }
}
