// Command consistency runs many clients on few keys, notes what they asked and were answered, and
// checks that each key behaved like one register that everybody shares.
//
// It is told what to do on standard input, a line each:
//
//	round ENDPOINT OPERATIONS SEED   clients work until so many operations are done or the server is gone
//	verify ENDPOINT                  every key is read once more, and the history is checked
//
// and answers with a line each: "ended OPERATIONS UNKNOWN", then "ok OPERATIONS" or "broken KEY".
// Each round has keys of its own, so that what was open at a crash does not pile up.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	clients = 12
	keys    = 6
)

func main() {
	accessKey := flag.String("access-key", "", "access key")
	secretKey := flag.String("secret-key", "", "secret key")
	bucket := flag.String("bucket", "", "bucket")
	corrupt := flag.Bool("corrupt", false, "makes one read of each round stale before the check")
	flag.Parse()

	store := &Store{accessKey: *accessKey, secretKey: *secretKey, bucket: *bucket}
	var history *History
	number := 0
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		switch {
		case len(words) == 4 && words[0] == "round":
			var operations, seed int64
			fmt.Sscan(words[2], &operations)
			fmt.Sscan(words[3], &seed)
			number++
			history = &History{prefix: fmt.Sprintf("round-%d-", number), begun: time.Now()}
			store.connect(words[1])
			work(store, history, operations, seed)
			fmt.Printf("ended %d %d\n", len(history.operations), history.unknown())
		case len(words) == 2 && words[0] == "verify":
			store.connect(words[1])
			readAll(store, history)
			if *corrupt && !history.corrupt() {
				fmt.Println("nothing to corrupt")
				continue
			}
			if key := history.broken(); key != "" {
				fmt.Printf("broken %s\n", key)
			} else {
				fmt.Printf("ok %d\n", len(history.operations))
			}
		default:
			fmt.Printf("not understood: %s\n", input.Text())
		}
	}
}

// work lets all clients work at once; each stops when the server does not answer any more.
func work(store *Store, history *History, operations, seed int64) {
	var left atomic.Int64
	left.Store(operations)
	var group sync.WaitGroup
	for client := range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			chance := rand.New(rand.NewSource(seed*1000 + int64(client)))
			for left.Add(-1) >= 0 {
				if !step(store, history, client, chance) {
					return
				}
			}
		}()
	}
	group.Wait()
}

// step does one operation at random; false if nobody answered.
func step(store *Store, history *History, client int, chance *rand.Rand) bool {
	key := fmt.Sprintf("%s%d", history.prefix, chance.Intn(keys))
	value := fmt.Sprintf("%s/%d/%d", key, client, chance.Int63())
	switch draw := chance.Intn(100); {
	case draw < 35:
		return read(store, history, client, key)
	case draw < 55:
		return write(store, history, client, Request{kind: put, key: key, value: value})
	case draw < 65:
		return write(store, history, client, Request{kind: remove, key: key})
	case draw < 78:
		return write(store, history, client, Request{kind: putIfAbsent, key: key, value: value})
	case draw < 92:
		seen := history.lastSeen(key)
		return write(store, history, client, Request{kind: putIfMatch, key: key, value: value, match: seen})
	default:
		return list(store, history, client)
	}
}

func read(store *Store, history *History, client int, key string) bool {
	called := history.now()
	value, known := store.get(key)
	if known {
		history.add(client, Request{kind: get, key: key}, Answer{value: value}, called)
	}
	return known
}

func write(store *Store, history *History, client int, request Request) bool {
	called := history.now()
	answer, known := store.write(request)
	if !known {
		answer.unknown = true
	}
	history.add(client, request, answer, called)
	return known
}

// list counts as a read of every key of the round.
func list(store *Store, history *History, client int) bool {
	called := history.now()
	found, known := store.list(history.prefix)
	if !known {
		return false
	}
	for number := range keys {
		key := fmt.Sprintf("%s%d", history.prefix, number)
		history.add(client, Request{kind: lookUp, key: key}, Answer{etag: found[key]}, called)
	}
	return true
}

func readAll(store *Store, history *History) {
	for number := range keys {
		read(store, history, clients, fmt.Sprintf("%s%d", history.prefix, number))
	}
	list(store, history, clients)
}
