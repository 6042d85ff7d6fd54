package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// timeFields are the fields of which the first that is present is the time of an event.
var timeFields = []protoreflect.Name{"event_time", "sent_at"}

// A converter turns the payloads of all types in a descriptor set into JSON.
type converter struct {
	types   *dynamicpb.Types
	options protojson.MarshalOptions
	// The first 16 hexadecimal digits of the descriptor set's SHA-256.
	schemaHash string
}

type event struct {
	json string
	// The time of the event; empty if it has none.
	time string
}

func newConverter(path string) (*converter, error) {
	set, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set, &files); err != nil {
		return nil, fmt.Errorf("cannot read the descriptor set: %w", err)
	}
	registry, err := protodesc.NewFiles(&files)
	if err != nil {
		return nil, fmt.Errorf("cannot use the descriptor set: %w", err)
	}
	types := dynamicpb.NewTypes(registry)
	hash := sha256.Sum256(set)
	return &converter{types, protojson.MarshalOptions{Resolver: types}, hex.EncodeToString(hash[:8])}, nil
}

func (c *converter) convert(eventType string, payload []byte) (event, error) {
	kind, err := c.types.FindMessageByName(protoreflect.FullName(eventType))
	if err == protoregistry.NotFound {
		return event{}, fmt.Errorf("unknown type %s", eventType)
	} else if err != nil {
		return event{}, err
	}
	message := kind.New()
	options := proto.UnmarshalOptions{Resolver: c.types}
	if err := options.Unmarshal(payload, message.Interface()); err != nil {
		return event{}, err
	}
	text, err := c.options.Marshal(message.Interface())
	if err != nil {
		return event{}, err
	}
	time, err := c.time(message)
	return event{string(text), time}, err
}

// time returns the event time in RFC 3339.
func (c *converter) time(message protoreflect.Message) (string, error) {
	for _, name := range timeFields {
		field := message.Descriptor().Fields().ByName(name)
		if field == nil || !message.Has(field) {
			continue
		}
		quoted, err := c.options.Marshal(message.Get(field).Message().Interface())
		if err != nil {
			return "", err
		}
		var time string
		err = json.Unmarshal(quoted, &time)
		return time, err
	}
	return "", nil
}
