package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// maxBytes is the most that one publish can carry.
	maxBytes = 256 * 1024
	// attributeBytes is an upper bound for the attributes of one message.
	attributeBytes = 512
)

// A consumer receives, publishes and deletes.
type consumer struct {
	sqs           *sqs.Client
	sns           *sns.Client
	queueURL      *string
	topicTemplate string
	converter     *converter
}

// An outgoing message is ready to be published.
type outgoing struct {
	entry         snstypes.PublishBatchRequestEntry
	receiptHandle *string
}

func newConsumer(ctx context.Context, converter *converter, loops int) (*consumer, error) {
	// The default keeps 10 idle connections, which is too few for loops that publish to several topics at once.
	client := awshttp.NewBuildableClient().WithTransportOptions(func(transport *http.Transport) {
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 10*loops
	})
	shared, err := config.LoadDefaultConfig(ctx,
		config.WithRegion("eu-west-1"),
		config.WithBaseEndpoint(os.Getenv("RIVAL_ENDPOINT")),
		config.WithHTTPClient(client),
	)
	if err != nil {
		return nil, err
	}
	return &consumer{
		sqs:           sqs.NewFromConfig(shared),
		sns:           sns.NewFromConfig(shared),
		queueURL:      aws.String(os.Getenv("RIVAL_QUEUE_URL")),
		topicTemplate: os.Getenv("RIVAL_TOPIC_TEMPLATE"),
		converter:     converter,
	}, nil
}

func (c *consumer) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if err := c.pass(ctx); err != nil && ctx.Err() == nil {
			// The messages stay on the queue, and return after their visibility timeout.
			log.Printf("a batch failed: %v", err)
		}
	}
}

// pass receives up to ten messages, publishes them and deletes those that were published.
func (c *consumer) pass(ctx context.Context) error {
	received, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:              c.queueURL,
		MaxNumberOfMessages:   10,
		WaitTimeSeconds:       20,
		MessageAttributeNames: []string{"All"},
	})
	if err != nil || len(received.Messages) == 0 {
		return err
	}
	topics := map[string][]outgoing{}
	for index, message := range received.Messages {
		topic, converted, err := c.outgoing(index, message)
		if err != nil {
			// The message returns until the redrive policy of the queue moves it to the dead-letter queue.
			log.Printf("a message cannot be converted: %v", err)
			continue
		}
		topics[topic] = append(topics[topic], converted)
	}
	return c.delete(ctx, c.publishAll(ctx, topics))
}

// outgoing converts a message. It returns the topic and the entry to publish.
func (c *consumer) outgoing(index int, message sqstypes.Message) (string, outgoing, error) {
	attribute := func(name string) string { return aws.ToString(message.MessageAttributes[name].StringValue) }
	eventType, eventID, customer := attribute("message-type"), attribute("event-id"), attribute("customer-id")
	if eventType == "" || eventID == "" || customer == "" {
		return "", outgoing{}, fmt.Errorf("the message lacks an attribute")
	}
	payload, err := base64.StdEncoding.DecodeString(aws.ToString(message.Body))
	if err != nil {
		return "", outgoing{}, err
	}
	converted, err := c.converter.convert(eventType, payload)
	if err != nil {
		return "", outgoing{}, err
	}
	text := func(value string) snstypes.MessageAttributeValue {
		return snstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	entry := snstypes.PublishBatchRequestEntry{
		Id:      aws.String(strconv.Itoa(index)),
		Message: &converted.json,
		MessageAttributes: map[string]snstypes.MessageAttributeValue{
			"event-id":     text(eventID),
			"event-type":   text(eventType),
			"customer-id":  text(customer),
			"event-time":   text(converted.time),
			"content-type": text("application/json"),
			"schema-hash":  text(c.converter.schemaHash),
		},
	}
	if converted.time == "" {
		// SNS refuses an attribute without a value.
		delete(entry.MessageAttributes, "event-time")
	}
	return strings.Replace(c.topicTemplate, "{customer}", customer, 1), outgoing{entry, message.ReceiptHandle}, nil
}

// publishAll publishes to all topics at once. It returns the receipt handles of the messages that SNS accepted.
func (c *consumer) publishAll(ctx context.Context, topics map[string][]outgoing) []*string {
	var (
		running  sync.WaitGroup
		lock     sync.Mutex
		accepted []*string
	)
	for topic, batch := range topics {
		running.Go(func() {
			handles := c.publish(ctx, topic, batch)
			lock.Lock()
			defer lock.Unlock()
			accepted = append(accepted, handles...)
		})
	}
	running.Wait()
	return accepted
}

// publish publishes to one topic, in several calls if the messages do not fit into one.
func (c *consumer) publish(ctx context.Context, topic string, batch []outgoing) []*string {
	var accepted []*string
	for len(batch) > 0 {
		count, bytes := 0, 0
		for _, message := range batch {
			bytes += len(*message.entry.Message) + attributeBytes
			if count > 0 && bytes > maxBytes {
				break
			}
			count++
		}
		handles := make(map[string]*string, count)
		entries := make([]snstypes.PublishBatchRequestEntry, 0, count)
		for _, message := range batch[:count] {
			handles[*message.entry.Id] = message.receiptHandle
			entries = append(entries, message.entry)
		}
		batch = batch[count:]
		input := &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: entries}
		answer, err := c.sns.PublishBatch(ctx, input)
		if err != nil {
			log.Printf("cannot publish to %s: %v", topic, err)
			continue
		}
		for _, entry := range answer.Successful {
			accepted = append(accepted, handles[aws.ToString(entry.Id)])
		}
		for _, entry := range answer.Failed {
			log.Printf("SNS refused an entry for %s: %s", topic, aws.ToString(entry.Code))
		}
	}
	return accepted
}

func (c *consumer) delete(ctx context.Context, receiptHandles []*string) error {
	if len(receiptHandles) == 0 {
		return nil
	}
	entries := make([]sqstypes.DeleteMessageBatchRequestEntry, 0, len(receiptHandles))
	for index, handle := range receiptHandles {
		id := aws.String(strconv.Itoa(index))
		entries = append(entries, sqstypes.DeleteMessageBatchRequestEntry{Id: id, ReceiptHandle: handle})
	}
	answer, err := c.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: c.queueURL, Entries: entries})
	if err != nil {
		return err
	}
	for _, entry := range answer.Failed {
		log.Printf("SQS did not delete a message: %s", aws.ToString(entry.Code))
	}
	return nil
}
