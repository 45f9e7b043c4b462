package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// protocol returns the lines of a connector in the receive or the send log, each
// as event, data and context: "< EHLO client.test".
func (w *world) protocol(direction, connector string) (lines []string) {
	w.t.Helper()
	files, _ := filepath.Glob(filepath.Join(w.dir, "logs", direction+"*")) // the pattern is valid
	next := map[string]int{}                                               // sequence number, by session
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		head, rows, _ := strings.Cut(string(b), "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n")
		if !strings.HasPrefix(head, "#Software: ") || !strings.Contains(head, "\n#Log-type: SMTP ") {
			w.t.Errorf("%s begins\n%s", name, head)
		}
		records, err := csv.NewReader(strings.NewReader(rows)).ReadAll()
		if err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		for _, r := range records {
			if n, err := strconv.Atoi(r[3]); err != nil || n != next[r[2]] {
				w.t.Errorf("%s: %q: sequence number %d expected", name, r, next[r[2]])
			}
			next[r[2]]++
			if r[1] == connector {
				lines = append(lines, strings.Join(slices.DeleteFunc(r[6:], func(s string) bool { return s == "" }), " "))
			}
		}
	}
	return lines
}

// inOrder checks that lines with these beginnings occur in this order.
func inOrder(t *testing.T, lines []string, wants ...string) {
	t.Helper()
	rest := lines
	for _, want := range wants {
		i := slices.IndexFunc(rest, func(l string) bool { return strings.HasPrefix(l, want) })
		if i < 0 {
			t.Errorf("no %q, or not where it belongs, in\n%s", want, strings.Join(lines, "\n"))
			return
		}
		rest = rest[i+1:]
	}
}

// tracked checks the events of a recipient in message tracking. They must be of
// one message; each is compared with its connector.
func (w *world) tracked(recipient string, wants ...string) {
	w.t.Helper()
	var did []string
	id := ""
	for e, err := range tracking.Search(filepath.Join(w.dir, "logs", "tracking"), tracking.Filter{Recipient: recipient}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if this := e.Columns["internal-message-id"]; id == "" {
			id = this
		} else if this != id {
			w.t.Errorf("%s for %s is of message %s, want %s", e.Event, recipient, this, id)
		}
		did = append(did, e.Event+" "+e.Columns["connector-id"])
	}
	if !slices.Equal(did, wants) {
		w.t.Errorf("tracked for %s: %q, want %q", recipient, did, wants)
	}
}

func contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}
