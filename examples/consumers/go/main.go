// Reads the events of a queue and acts once on each: adds up the revenue of placed orders, by currency.
//
//	QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/210987654321/events go run .
//
// The queue is subscribed with raw message delivery. The act and the identity of its event are stored in one transaction,
// in the bbolt file DATABASE (consumer.db if unset). STOP_WHEN_IDLE=1 ends the program when the queue is empty.
// PRINT_EVENTS=1 prints the type, the id and the SHA-256 of the JSON of each event that the program acts on.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	bolt "go.etcd.io/bbolt"
)

var seen, revenue = []byte("seen"), []byte("revenue")

// OrderPlaced is the part of shop.v1.OrderPlaced that this program reads. encoding/json ignores all other fields.
type OrderPlaced struct {
	OrderID string `json:"orderId"`
	// A string, or a number if protobridge does not know the value.
	Status any `json:"status"`
	Total  struct {
		Currency string `json:"currency"`
		// 64-bit integers are strings.
		AmountMinor string `json:"amountMinor"`
	} `json:"total"`
}

// jsonOf returns the JSON of an event. The JSON of a large event is an object in S3, and the body points to it.
func jsonOf(ctx context.Context, client *s3.Client, message types.Message) (string, error) {
	body := aws.ToString(message.Body)
	if _, isLarge := message.MessageAttributes["ExtendedPayloadSize"]; !isLarge {
		return body, nil
	}
	var object struct{ S3BucketName, S3Key string }
	// The pointer is a list: a class name, and the object.
	if err := json.Unmarshal([]byte(body), &[]any{new(string), &object}); err != nil {
		return "", err
	}
	answer, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &object.S3BucketName, Key: &object.S3Key})
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// act acts on one event. It ignores types and fields that it does not know.
func act(tx *bolt.Tx, eventType, body string) error {
	if eventType != "shop.v1.OrderPlaced" {
		return nil
	}
	var order OrderPlaced
	if err := json.Unmarshal([]byte(body), &order); err != nil {
		return err
	}
	switch order.Status {
	case "ORDER_STATUS_PENDING", "ORDER_STATUS_PAID":
	default: // A new enum value is a name that this program does not know.
		log.Printf("order %s has the unknown status %v", order.OrderID, order.Status)
	}
	if order.Total.Currency == "" {
		return nil
	}
	// An absent field has its default.
	amount, sum := new(big.Int), new(big.Int)
	if text := order.Total.AmountMinor; text != "" {
		if _, ok := amount.SetString(text, 10); !ok {
			return fmt.Errorf("%q is no integer", text)
		}
	}
	sums := tx.Bucket(revenue)
	currency := []byte(order.Total.Currency)
	if before := sums.Get(currency); before != nil {
		sum.SetString(string(before), 10)
	}
	return sums.Put(currency, []byte(sum.Add(sum, amount).String()))
}

// process acts on a message unless its event was acted on before. It returns whether it acted.
func process(ctx context.Context, db *bolt.DB, client *s3.Client, message types.Message) (isNew bool, err error) {
	attribute := func(name string) string { return aws.ToString(message.MessageAttributes[name].StringValue) }
	eventType, eventID := attribute("event-type"), attribute("event-id")
	if eventType == "" || eventID == "" {
		return false, fmt.Errorf("there is no event-type or event-id; subscribe with RawMessageDelivery=true")
	}
	body, err := jsonOf(ctx, client, message)
	if err != nil {
		return false, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		identity := []byte(eventType + "\x00" + eventID)
		if isNew = tx.Bucket(seen).Get(identity) == nil; !isNew {
			return nil
		}
		if err := tx.Bucket(seen).Put(identity, []byte{1}); err != nil {
			return err
		}
		return act(tx, eventType, body)
	})
	if isNew && err == nil && os.Getenv("PRINT_EVENTS") == "1" {
		fmt.Printf("event %s %s %x\n", eventType, eventID, sha256.Sum256([]byte(body)))
	}
	return isNew, err
}

func main() {
	ctx := context.Background()
	queue, stopWhenIdle := os.Getenv("QUEUE_URL"), os.Getenv("STOP_WHEN_IDLE") == "1"
	path := os.Getenv("DATABASE")
	if path == "" {
		path = "consumer.db"
	}
	db, err := bolt.Open(path, 0o600, nil)
	check(err)
	defer db.Close()
	check(db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{seen, revenue} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	}))
	settings, err := config.LoadDefaultConfig(ctx)
	check(err)
	client, objects := sqs.NewFromConfig(settings), s3.NewFromConfig(settings)
	input := sqs.ReceiveMessageInput{
		QueueUrl:              &queue,
		MaxNumberOfMessages:   10,
		WaitTimeSeconds:       20,
		MessageAttributeNames: []string{"All"},
	}
	if stopWhenIdle {
		input.WaitTimeSeconds = 1
	}
	acted, repeated := 0, 0
	for {
		answer, err := client.ReceiveMessage(ctx, &input)
		check(err)
		for _, message := range answer.Messages {
			isNew, err := process(ctx, db, objects, message)
			if err != nil { // The message comes back, and moves to the dead-letter queue in the end.
				log.Printf("message %s: %v", aws.ToString(message.MessageId), err)
				continue
			}
			if isNew {
				acted++
			} else {
				repeated++
			}
			// Delete after the commit: a crash in between repeats the event, and the bucket of seen events skips it.
			_, err = client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: message.ReceiptHandle})
			check(err)
		}
		if stopWhenIdle && len(answer.Messages) == 0 {
			break
		}
	}
	sums := map[string]string{}
	check(db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(revenue).ForEach(func(currency, sum []byte) error {
			sums[string(currency)] = string(sum)
			return nil
		})
	}))
	report, err := json.Marshal(map[string]any{"acted": acted, "repeated": repeated, "revenue": sums})
	check(err)
	fmt.Println(string(report))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
