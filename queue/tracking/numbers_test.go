package tracking

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// numbered has an event for each number that the log can have.
var numbered = []queue.Event{
	{Kind: queue.EventResubmit}, {Kind: queue.EventReceive, System: true}, {Kind: queue.EventSuppressed}, {Kind: queue.EventReceive},
	{Kind: queue.EventTransfer}, {Kind: queue.EventBadMail}, {Kind: queue.EventPoison}, {Kind: queue.EventSend, Final: true},
	{Kind: queue.EventFail}, {Kind: queue.EventDSN, Text: string(dsn.Failed)}, {Kind: queue.EventSend}, {Kind: queue.EventExpand},
	{Kind: queue.EventDefer, Host: "mx.example.net"}, {Kind: queue.EventDefer}, {Kind: queue.EventDrop}, {Kind: queue.EventReject, ID: "m1"},
	{Kind: queue.EventQuarantine}, {Kind: queue.EventRedirect},
}

// The table in the package documentation has all numbers from 1010 to 1042, and the
// name of the event for those that the log has.
func TestNumbersOfExchange(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[int]string{}
	for _, row := range regexp.MustCompile(`(?m)^//\t(10\d\d)  .{32}(\S+)`).FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(row[1])
		names[n] = row[2]
	}
	written := map[int]string{}
	for _, e := range numbered {
		written[e.Number()] = e.Kind.String()
	}
	for n := 1010; n <= 1042; n++ {
		want := written[n]
		if want == "" {
			want = "-"
		}
		if names[n] != want {
			t.Errorf("the table has %q for %d, want %q", names[n], n, want)
		}
	}
	if len(names) != 33 || len(written) != 18 {
		t.Errorf("%d rows, %d numbers are written: %s", len(names), len(written), fmt.Sprint(written))
	}
}
