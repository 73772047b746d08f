import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.config.ConfigResource;

/** A member of a share group, for JavaProgram. */
public class ShareReader implements JavaProgram.Reader {
    private final KafkaShareConsumer<String, String> member;

    public ShareReader(Map<String, Object> settings) throws Exception {
        readFromBeginning(settings);
        member = new KafkaShareConsumer<>(settings);
    }

    /** Where a share group starts is a setting of the group, not of the consumer. */
    private static void readFromBeginning(Map<String, Object> settings) throws Exception {
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, (String) settings.get("group.id"));
        ConfigEntry entry = new ConfigEntry("share.auto.offset.reset", "earliest");
        try (Admin admin = Admin.create(settings)) {
            List<AlterConfigOp> changes = List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET));
            admin.incrementalAlterConfigs(Map.of(group, changes)).all().get();
        }
    }

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
}
