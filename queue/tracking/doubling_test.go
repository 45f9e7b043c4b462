package tracking

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Twice the input takes about twice the time: a line, its columns, and a log with many
// lines. A log that was cut or that another program has written is possible too.
func TestDoubling(t *testing.T) {
	file := filepath.Join(t.TempDir(), "MSGTRK20261121-1.log")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	find := func(text string, o Options) {
		write(text)
		Find(context.Background(), filepath.Dir(file), Filter{Recipient: "*@example.com", Sender: "a*b"}, o)
	}
	search := func(text string) {
		write(text)
		for range Search(filepath.Dir(file), Filter{Recipient: "*@example.com", Sender: "a*b"}) {
		}
	}
	l := &Log{Hostname: "relay.example.com"}
	const line = "2026-11-21T12:00:00.000Z,192.0.2.1,pc,,relay.example.com,,default,SMTP,RECEIVE,m1,<1@example.com>,%s,,512,1,,,Lunch,alice@example.com,<alice@example.com>,event=1019,Incoming\n"
	record := func(e *queue.Event) {
		e.Kind, e.ID, e.Time = queue.EventReceive, "m1", time.Unix(1e9, 0)
		r := l.record(e)
		r.append(nil)
	}
	doubling.Time(t, map[string]func(string){
		"Search, raw":        search,
		"Find, newest first": func(s string) { find(s, Options{}) },
		"Find, oldest first": func(s string) { find(s, Options{OldestFirst: true}) },
		"Timeline": func(s string) {
			write(s)
			Timeline(context.Background(), filepath.Dir(file), "a")
		},
		"parseLine":          func(s string) { parseLine([]byte(s)) },
		"sieve":              func(s string) { newSieve(&Filter{Subject: s}).passes([]byte(s)) },
		"Search, recipients": func(s string) { search(fmt.Sprintf(line, `"`+strings.ReplaceAll(s, `"`, `""`)+`"`)) },
		"addresses":          func(s string) { addresses(s) },
		"record, subject":    func(s string) { record(&queue.Event{Subject: s}) },
		"record, text":       func(s string) { record(&queue.Event{Text: s, Reference: s, Related: s}) },
	}, []string{"a", ",", "\n", "\r\n", "\x00", "\xff", "ü", "a@b;", ";", "\"", "\"\"", "\",\"", "#\n", "a,\"b\n", "=", ",,,,,,,,,,,,,,,,,,,,,\n"})
	doubling.Time(t, map[string]func(string){
		"Search, lines": func(s string) { search(strings.Repeat(fmt.Sprintf(line, "bob@example.net"), len(s)/len(line))) },
		"Timeline, lines": func(s string) {
			write(strings.Repeat(fmt.Sprintf(line, "bob@example.net"), len(s)/len(line)))
			Timeline(context.Background(), filepath.Dir(file), "m1")
		},
		"record, recipients": func(s string) {
			e := new(queue.Event)
			for i := range len(s) / 64 {
				e.Recipients = append(e.Recipients, queue.EventRecipient{Addr: fmt.Sprint("a", i, "@example.com")})
			}
			record(e)
		},
	}, []string{"a"}) // the length decides how many
}
