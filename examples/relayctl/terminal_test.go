package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// onTerminal runs the command in this process, as on a terminal where a person
// types the input.
func (w *world) onTerminal(ctx context.Context, in io.Reader, args ...string) *result {
	w.t.Helper()
	var out, errors_ strings.Builder
	env := map[string]string{"RELAYCTL_URL": w.url, "RELAYCTL_TOKEN": w.token}
	status := run(ctx, args, &terminal{in: in, out: &out, err: &errors_, interactive: true, screen: true}, func(name string) string { return env[name] })
	return &result{w.t, strings.Join(args, " "), status, out.String(), errors_.String()}
}

// On a terminal, a change asks for the confirmation and the reason.
func TestConfirmation(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	left := func() int { return w.count(queue.Filter{Recipient: "bob@closed.example"}) }
	for _, answers := range []string{"", "\n", "a reason\n", "a reason\nn\n", "a reason\n\n", "\ny\n"} {
		w.onTerminal(t.Context(), strings.NewReader(answers), "remove", "message", id).want(4, "Reason", "nothing has changed")
	}
	w.onTerminal(t.Context(), strings.NewReader(""), "remove", "message", id, "-reason", "a reason").want(4, "Do it?")
	// Ctrl-C at the question.
	ctx, cancel := context.WithCancel(t.Context())
	in, type_ := io.Pipe()
	defer in.Close()
	go func() {
		type_.Write([]byte("a reason\n"))
		cancel()
	}()
	w.onTerminal(ctx, in, "remove", "message", id).want(1, "interrupted")
	if left() != 1 {
		t.Fatal("the message is removed")
	}
	w.onTerminal(t.Context(), strings.NewReader("it is spam\nyes\n"), "remove", "messages", "-sender", "alice@*").want(0, "1 message", id, "done, 1 message")
	if left() != 0 {
		t.Error("the message is not removed")
	}
}

// A change is about the messages that were counted, and not about those that arrive
// while the person reads the question.
func TestConfirmationOfWhatWasCounted(t *testing.T) {
	for _, selected := range [][]string{{"queue", "closed.example"}, {"messages", "-recipient", "*@closed.example"}, {"all"}} {
		w := newWorld(t, nil)
		w.send("alice@example.com", "bob@closed.example", "Lunch")
		in := readerFunc(func(p []byte) (int, error) {
			w.send("carol@example.com", "bob@closed.example", "Dinner")
			return copy(p, "y\n"), io.EOF
		})
		w.onTerminal(t.Context(), in, append(append([]string{"remove"}, selected...), "-reason", "spam")...).want(0, "1 message", "done, 1 message")
		if n := w.count(queue.Filter{From: "carol@example.com"}); n != 1 {
			t.Errorf("%v: the message that came later is removed", selected)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// On a terminal, the overview replaces the last one, and the content of messages is
// not printed.
func TestScreen(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	r := w.onTerminal(t.Context(), nil, "top", "-n", "2", "-interval", "100ms").want(0)
	if !strings.HasPrefix(r.out, cursorHome+eraseScreen) || strings.Count(r.out, cursorHome) != 2 || !strings.HasSuffix(r.out, eraseScreen) {
		t.Errorf("the output is %q", r.out)
	}
	w.onTerminal(t.Context(), nil, "export", id, "-dir", "-").want(2, "terminal")
	// Ctrl-C ends it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.onTerminal(ctx, nil, "top").want(0)
}

// A subject cannot control the terminal, in tables and in JSON.
func TestStrangers(t *testing.T) {
	w := newWorld(t, nil)
	id := w.send("alice@example.com", "bob@closed.example", "\u202egpj.exe \x1b[2J\u009b8m")
	for _, args := range [][]string{{"messages"}, {"show", id}, {"messages", "-json"}, {"show", id, "-json"}} {
		r := w.do(args...).want(0)
		if strings.ContainsAny(r.out, "\x1b\u202e\u009b") {
			t.Errorf("%v: the output has the characters of the subject: %q", args, r.out)
		}
	}
	w.do("messages").want(0, `\u202Egpj.exe \x1B[2J\u009B8m`)
	if doc := w.do("show", id, "-json").json(); doc["subject"] != "\u202egpj.exe \x1b[2J\u009b8m" {
		t.Errorf("the subject is %q", doc["subject"])
	}
}
