package tracking

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// line returns a line of the log. n is the minute of its time.
func line(n int, event, id, reference, from, to, subject string) string {
	at := time.Date(2026, 11, 21, 0, n, 0, 0, time.UTC).Format(timeLayout)
	return fmt.Sprintf("%s,192.0.2.1,pc,,relay.example.com,,default,SMTP,%s,%s,<%s@example.com>,%s,,512,1,,%s,%s,%s,<%s>,event=1019,Incoming,\n",
		at, event, id, id, to, reference, subject, from, from)
}

// writeLog writes files of a log, oldest first, and returns its folder.
func writeLog(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range files {
		name := filepath.Join(dir, fmt.Sprintf("MSGTRK202611%02d-%d.log", 21+i/3, i%3+1))
		if err := os.WriteFile(name, []byte("#Software: Bridgehead\n#Fields: x\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ids returns the IDs of the entries of all pages.
func ids(t *testing.T, dir string, f Filter, o Options) (all []string) {
	t.Helper()
	for range 1000 {
		page, err := Find(context.Background(), dir, f, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Entries) > max(o.Limit, 1) && o.Limit > 0 {
			t.Fatalf("%d entries, the limit is %d", len(page.Entries), o.Limit)
		}
		for _, e := range page.Entries {
			all = append(all, e.ID)
		}
		if page.Complete {
			return all
		}
		o.Cursor = page.Cursor
	}
	t.Fatal("the pages do not end")
	return nil
}

// The pages together have what Search finds, in both orders, for each limit, and
// each entry once.
func TestFindPages(t *testing.T) {
	var files []string
	for i := range 5 {
		var b strings.Builder
		for j := range 20 {
			n := 20*i + j
			b.WriteString(line(n, "SEND", fmt.Sprint("m", n), "", fmt.Sprintf("a%d@example.com", n%3), fmt.Sprintf("b%d@example.net", n%7), "Lunch"))
			if j == 10 {
				b.WriteString("#Dropped: 3 events before x\n")
			}
		}
		files = append(files, b.String())
	}
	dir := writeLog(t, files...)
	at := func(n int) time.Time { return time.Date(2026, 11, 21, 0, n, 0, 0, time.UTC) }
	for _, f := range []Filter{
		{}, {Sender: "A1@example.com"}, {Recipient: "*3@*"}, {Recipient: "b3@example.net", Sender: "*2@*"}, {ID: "m42"}, {Subject: "none"},
		{Since: at(30)}, {Until: at(30)}, {Since: at(30), Until: at(31)}, {Event: "send", MessageID: "<m7@example.com>"},
	} {
		var want []string
		for e, err := range Search(dir, f) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, e.ID)
		}
		newest := slices.Clone(want)
		slices.Reverse(newest)
		for _, o := range []Options{{}, {Limit: 1}, {Limit: 7}, {MaxBytes: 1}, {MaxBytes: 700}, {Limit: 100}, {Limit: 1 << 40}} {
			if got := ids(t, dir, f, o); !slices.Equal(got, newest) {
				t.Errorf("%+v %+v: %q\nwant %q", f, o, got, newest)
			}
			o.OldestFirst = true
			if got := ids(t, dir, f, o); !slices.Equal(got, want) {
				t.Errorf("%+v %+v: %q\nwant %q", f, o, got, want)
			}
		}
	}
}

// A cursor stays valid while lines are added and old files are removed.
func TestCursorSurvivesRotation(t *testing.T) {
	one := line(1, "SEND", "m1", "", "a", "b", "") + line(2, "SEND", "m2", "", "a", "b", "")
	two := line(3, "SEND", "m3", "", "a", "b", "") + line(4, "SEND", "m4", "", "a", "b", "")
	dir := writeLog(t, one, two)
	page := func(o Options) (*Page, []string) {
		t.Helper()
		p, err := Find(context.Background(), dir, Filter{}, o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range p.Entries {
			got = append(got, e.ID)
		}
		return p, got
	}
	newest, got := page(Options{Limit: 1})
	if !slices.Equal(got, []string{"m4"}) || newest.Complete {
		t.Fatalf("%q", got)
	}
	oldest, got := page(Options{OldestFirst: true, Limit: 1})
	if !slices.Equal(got, []string{"m1"}) {
		t.Fatalf("%q", got)
	}
	follow, _ := page(Options{OldestFirst: true})
	if !follow.Complete || follow.Cursor == "" {
		t.Errorf("a search with OldestFirst cannot be followed: %+v", follow)
	}

	f, err := os.OpenFile(filepath.Join(dir, "MSGTRK20261121-2.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	half := line(6, "SEND", "m6", "", "a", "b", "")
	if _, err := f.WriteString(line(5, "SEND", "m5", "", "a", "b", "") + half[:30]); err != nil {
		t.Fatal(err)
	}
	if _, got := page(Options{Cursor: newest.Cursor}); !slices.Equal(got, []string{"m3", "m2", "m1"}) {
		t.Errorf("after a line was added: %q", got)
	}
	if _, got := page(Options{Limit: 1}); !slices.Equal(got, []string{"m5"}) {
		t.Errorf("an incomplete line: %q", got)
	}
	follow, got = page(Options{OldestFirst: true, Cursor: follow.Cursor})
	if !slices.Equal(got, []string{"m5"}) {
		t.Errorf("followed: %q", got)
	}
	if _, err := f.WriteString(half[30:]); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, "MSGTRK20261122-1.log"), []byte("#x\n"+line(7, "SEND", "m7", "", "a", "b", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, got = page(Options{OldestFirst: true, Cursor: follow.Cursor}); !slices.Equal(got, []string{"m6", "m7"}) {
		t.Errorf("followed: %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "MSGTRK20261121-1.log")); err != nil {
		t.Fatal(err)
	}
	if _, got := page(Options{Cursor: newest.Cursor}); !slices.Equal(got, []string{"m3"}) {
		t.Errorf("after the oldest file was removed: %q", got)
	}
	if _, got := page(Options{OldestFirst: true, Cursor: oldest.Cursor}); !slices.Equal(got, []string{"m3", "m4", "m5", "m6", "m7"}) {
		t.Errorf("the file of the cursor was removed: %q", got)
	}
}

// A cursor that is malformed, of the other order, or does not fit to its file is an
// error.
func TestBadCursor(t *testing.T) {
	dir := writeLog(t, line(1, "SEND", "m1", "", "a", "b", ""))
	for _, c := range []string{"x", "n", "n20261121-1", "n20261121-1.", "n20261121-1.-1", "n20261121-01.5", "x20261121-1.0", "n2026112-1.0",
		"n20261121-1.99999999999999999999", "o20261121-1.0", "n20261121-1.7", "n20261121-1.1000000", strings.Repeat("n", 1000)} {
		if p, err := Find(context.Background(), dir, Filter{}, Options{Cursor: c}); err == nil || !strings.Contains(err.Error(), "cursor") {
			t.Errorf("%.40q: %+v, %v", c, p, err)
		}
	}
	if _, err := Find(context.Background(), filepath.Join(dir, "none"), Filter{}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Find(ctx, dir, Filter{}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("n20261121-1.4096")
	f.Add("o20261121-12.0")
	f.Add("n20261121-+1.0")
	dir := writeLog(f, line(1, "SEND", "m1", "", "a", "b", "")+line(2, "SEND", "m2", "", "a", "b", ""))
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parseCursor(s); err == nil && p.String() != s {
			t.Errorf("%q became %q", s, p)
		}
		for _, o := range []Options{{Cursor: s}, {Cursor: s, OldestFirst: true}} {
			page, err := Find(context.Background(), dir, Filter{}, o)
			if err == nil && (!page.Complete || page.Damaged > 0) {
				t.Errorf("%q: %+v", s, page)
			}
		}
	})
}

// A line that is longer than any of a Log is skipped, from both sides, and its bytes
// count.
func TestFindLongLines(t *testing.T) {
	for _, n := range []int{block - 300, block, 3 * block, maxLine - 300, maxLine + 300, 2*maxLine + 17, 5 * maxLine} {
		long := line(2, "SEND", "long", "", "a", "b", strings.Repeat("x", n))
		text := line(1, "SEND", "m1", "", "a", "b", "") + long + line(3, "SEND", "m3", "", "a", "b", "")
		dir := writeLog(t, text)
		want := []string{"m1", "long", "m3"}
		if len(long) > maxLine {
			want = []string{"m1", "m3"}
		}
		for _, o := range []Options{{OldestFirst: true}, {}} {
			page, err := Find(context.Background(), dir, Filter{}, o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range page.Entries {
				got = append(got, e.ID)
			}
			if !o.OldestFirst {
				slices.Reverse(got)
			}
			if len(long) > maxLine && len(long) <= 2*maxLine+block { // from the end, it may still be read
				got = slices.DeleteFunc(got, func(s string) bool { return s == "long" })
			}
			if !slices.Equal(got, want) || page.Examined < int64(len(text)) {
				t.Errorf("%d bytes, %+v: %q, %d bytes examined of %d", n, o, got, page.Examined, len(text))
			}
		}
	}
}

// Files outside the time of the filter are not read.
func TestFindSkipsFiles(t *testing.T) {
	files := make([]string, 30)
	for i := range files {
		files[i] = strings.ReplaceAll(line(5, "SEND", fmt.Sprint("m", i), "", "a", "b", ""), "2026-11-21", fmt.Sprintf("2026-11-%02d", 21+i/3))
	}
	dir := writeLog(t, files...)
	day := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	for _, oldest := range []bool{false, true} {
		page, err := Find(context.Background(), dir, Filter{Since: day.Add(2 * time.Hour), Until: day.Add(20 * time.Hour)}, Options{OldestFirst: oldest})
		if err != nil || !page.Complete || page.Examined > 700 {
			t.Errorf("%+v, %v", page, err)
		}
		page, err = Find(context.Background(), dir, Filter{Since: day, Until: day.Add(22 * time.Hour)}, Options{OldestFirst: oldest})
		if err != nil || len(page.Entries) != 3 {
			t.Errorf("%+v, %v", page, err)
		}
	}
}

// event returns an event with these texts.
func event(from, to, subject string) queue.Event {
	return queue.Event{Time: time.Unix(1e9, 0), Kind: queue.EventSend, ID: "m1", MessageID: "<" + subject + ">", Subject: subject, From: from,
		Recipients: []queue.EventRecipient{{Addr: to}}, Labels: map[string]string{"l": subject}}
}

// A Filter selects the same lines with and without the sieve.
func FuzzSieve(f *testing.F) {
	f.Add("*Lunch", "a,b@example.com", "Grüße \"x\"", "K")
	f.Add("'x\\", "\u212a", "=1+1", "a*b")
	f.Fuzz(func(t *testing.T, pattern, from, subject, to string) {
		l := &Log{}
		e := event(from, to, subject)
		r := l.record(&e)
		line := r.append(nil)
		entry, err := parseLine(trimEnd(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, f := range []Filter{{Sender: pattern}, {Recipient: pattern}, {Subject: pattern}, {MessageID: pattern}, {Labels: map[string]string{"l": pattern}}} {
			if f.selects(entry) && !newSieve(&f).passes(trimEnd(line)) {
				t.Errorf("the sieve rejects %+v: %s", f, line)
			}
		}
	})
}

// The timeline of a message has the entries of the reports about it and of its
// copies, whichever of them is asked for.
func TestTimeline(t *testing.T) {
	dir := writeLog(t,
		line(1, "RECEIVE", "m1", "", "a", "b", "")+line(2, "RECEIVE", "m10", "", "a", "b", "m1 in the subject")+line(3, "RESUBMIT", "m1", "m2", "a", "b", ""),
		line(4, "RECEIVE", "d1", "", "", "a", "")+line(5, "DSN", "m2", "d1", "a", "b", "")+line(6, "FAIL", "m2", "", "a", "b", "")+"damaged m2\n",
		line(7, "SEND", "d1", "", "", "a", "")+line(8, "SEND", "m10", "", "a", "b", ""))
	for _, id := range []string{"m1", "m2", "d1"} {
		page, err := Timeline(context.Background(), dir, id)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range page.Entries {
			got = append(got, e.Event+" "+e.ID)
		}
		want := []string{"RECEIVE m1", "RESUBMIT m1", "RECEIVE d1", "DSN m2", "FAIL m2", "SEND d1"}
		if !slices.Equal(got, want) || !page.Complete || page.Damaged != 1 {
			t.Errorf("%s: %q, %+v", id, got, page)
		}
	}
	if page, err := Timeline(context.Background(), dir, "m3"); err != nil || len(page.Entries) != 0 || !page.Complete {
		t.Errorf("an unknown message: %+v, %v", page, err)
	}
	for _, id := range []string{"", "a b", strings.Repeat("x", 65)} {
		if _, err := Timeline(context.Background(), dir, id); err == nil {
			t.Errorf("%q: no error", id)
		}
	}
}

// A message with very many lines, or with a long chain of copies, has a bounded
// timeline that says so.
func TestTimelineIsBounded(t *testing.T) {
	many := strings.Repeat(line(1, "DEFER", "m1", "", "a", "b", ""), maxTimeline+10)
	page, err := Timeline(context.Background(), writeLog(t, many), "m1")
	if err != nil || len(page.Entries) != maxTimeline || page.Complete {
		t.Errorf("%d entries, %v, %v", len(page.Entries), page.Complete, err)
	}
	var chain strings.Builder
	for i := range 100 {
		chain.WriteString(line(1, "RESUBMIT", fmt.Sprint("c", 100-i), fmt.Sprint("c", 101-i), "a", "b", ""))
	}
	page, err = Timeline(context.Background(), writeLog(t, chain.String()), "c50")
	if err != nil || page.Complete || len(page.Entries) > maxRelated+1 {
		t.Errorf("%d entries, %v, %v", len(page.Entries), page.Complete, err)
	}
}
