package main

import (
	"crypto/md5"
	"encoding/hex"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what is asked for.
type Kind int

const (
	get Kind = iota
	lookUp
	put
	remove
	putIfAbsent
	putIfMatch
)

// Request is an operation on one key.
type Request struct {
	kind       Kind
	key, value string
	// The value that must be there for putIfMatch.
	match string
}

// Answer is what came of it.
type Answer struct {
	value, etag string
	done        bool
	// Nobody answered: it may have happened, then or at any time later, or never.
	unknown bool
}

// History is what all clients asked and were answered in one round.
type History struct {
	sync.Mutex
	prefix     string
	begun      time.Time
	operations []porcupine.Operation
	seen       map[string]string
}

func (history *History) now() int64 { return time.Since(history.begun).Nanoseconds() }

func (history *History) add(client int, request Request, answer Answer, called int64) {
	returned := history.now()
	if answer.unknown {
		returned = math.MaxInt64
	}
	history.Lock()
	defer history.Unlock()
	if history.seen == nil {
		history.seen = map[string]string{}
	}
	if request.kind == get {
		history.seen[request.key] = answer.value
	} else if answer.done && request.kind != remove {
		history.seen[request.key] = request.value
	}
	history.operations = append(history.operations, porcupine.Operation{
		ClientId: client, Input: request, Output: answer, Call: called, Return: returned,
	})
}

func (history *History) lastSeen(key string) string {
	history.Lock()
	defer history.Unlock()
	return history.seen[key]
}

func (history *History) unknown() int {
	count := 0
	for _, operation := range history.operations {
		if operation.Output.(Answer).unknown {
			count++
		}
	}
	return count
}

// corrupt makes one read return what had been replaced before it began; false if there is none.
func (history *History) corrupt() bool {
	byKey := map[string][]porcupine.Operation{}
	for _, operation := range history.operations {
		key := operation.Input.(Request).key
		byKey[key] = append(byKey[key], operation)
	}
	for at := len(history.operations) - 1; at >= 0; at-- {
		read := &history.operations[at]
		if read.Input.(Request).kind != get {
			continue
		}
		for _, older := range byKey[read.Input.(Request).key] {
			for _, newer := range byKey[read.Input.(Request).key] {
				if isPut(older) && isPut(newer) && older.Return < newer.Call && newer.Return < read.Call {
					read.Output = Answer{value: older.Input.(Request).value}
					return true
				}
			}
		}
	}
	return false
}

func isPut(operation porcupine.Operation) bool {
	return operation.Input.(Request).kind == put && operation.Output.(Answer).done
}

// broken returns a key whose history no register could have, or nothing.
func (history *History) broken() string {
	for _, part := range byKey(history.operations) {
		if !porcupine.CheckOperations(register, part) {
			return part[0].Input.(Request).key
		}
	}
	return ""
}

func byKey(operations []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, operation := range operations {
		key := operation.Input.(Request).key
		parts[key] = append(parts[key], operation)
	}
	var all [][]porcupine.Operation
	for _, part := range parts {
		all = append(all, part)
	}
	return all
}

// register holds one value; the empty one means that there is none.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		value, request, answer := state.(string), input.(Request), output.(Answer)
		switch request.kind {
		case get:
			return answer.value == value, value
		case lookUp:
			return answer.etag == etag(value), value
		}
		after, done := request.value, true
		switch request.kind {
		case putIfAbsent:
			done = value == ""
		case putIfMatch:
			done = value != "" && value == request.match
		}
		if answer.unknown {
			if !done {
				after = value
			}
			return true, after
		}
		if !done {
			after = value
		}
		return answer.done == done, after
	},
}

// etag is the ETag of a value; of none there is none.
func etag(value string) string {
	if value == "" {
		return ""
	}
	sum := md5.Sum([]byte(value))
	return hex.EncodeToString(sum[:])
}
