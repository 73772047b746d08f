import org.apache.zookeeper.server.ZooKeeperServerMain;

/** Kafka 2 and the ZooKeeper that it needs, in one process that ends as one: `ZOOKEEPER-FILE KAFKA-FILE`. */
class KafkaWithZooKeeper {
    public static void main(String[] files) {
        new Thread(() -> ZooKeeperServerMain.main(new String[] {files[0]})).start();
        kafka.Kafka.main(new String[] {files[1]});
    }
}
