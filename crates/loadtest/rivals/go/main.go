// A consumer that a user would write instead of protobridge, in Go: it receives Protobuf events from SQS, and publishes
// each as JSON to the SNS topic of its customer.
//
// The load test measures it beside protobridge. ../README.md lists the variables that it reads.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

func main() {
	log.SetFlags(0)
	converter, err := newConverter(os.Getenv("RIVAL_DESCRIPTOR_SET"))
	if err != nil {
		log.Fatal(err)
	}
	if slices.Contains(os.Args[1:], "--hard") {
		if err := convertLines(converter); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(converter); err != nil {
		log.Fatal(err)
	}
}

func run(converter *converter) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	loops, err := strconv.Atoi(os.Getenv("RIVAL_LOOPS"))
	if err != nil {
		return fmt.Errorf("RIVAL_LOOPS: %w", err)
	}
	consumer, err := newConsumer(ctx, converter, loops)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for range loops {
		running.Go(func() { consumer.loop(ctx) })
	}
	running.Wait()
	return nil
}

// convertLines converts the payloads on standard input, for the comparison of hard payloads.
func convertLines(converter *converter) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		eventType, encoded, _ := strings.Cut(lines.Text(), " ")
		payload, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return err
		}
		if event, err := converter.convert(eventType, payload); err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", event.json)
		}
	}
	return lines.Err()
}
