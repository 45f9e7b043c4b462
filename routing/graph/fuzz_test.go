package graph

import (
	"maps"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A composed message has exactly the recipients in To, Cc and Bcc, one field of each,
// and the body of the original.
func FuzzCompose(f *testing.F) {
	for _, text := range []string{
		letter, "", "hello", "Subject: x", "\r\nTo: eve@example.org\r\n", "To: eve@example.org, bob@example.net\r\nTo: carol@example.net\r\n\r\n",
		"To : bob@example.net\r\nBcc : eve@example.org\r\n\r\n", "To: a: bob@example.net;\r\nCc: (x\r\n\r\n", "From eve\r\nTo: bob@example.net <carol@example.net>\r\n\r\nx",
		"Resent-To: bob@example.net\r\nMessage-ID: <1@x>\r\nMessage-ID: <2@x>\r\n\r\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := &queue.Message{ID: "m1", From: "scanner@contoso.com", Content: queue.String(text)}
		got, id, err := compose(m, queue.Rcpt("bob@example.net", "carol@example.net"))
		if err != nil {
			t.Fatal(err)
		}
		section := header.Of(got, false)
		fields, found := make(map[string]int), make(map[addr.Key]bool)
		for f := range header.All(section) {
			switch name := addr.Lower(strings.TrimRight(f.Name(), " \t")); name {
			case "to", "cc", "bcc":
				fields[name]++
				list, err := header.Addresses(f.Value())
				if err != nil {
					t.Errorf("%q: %v", f, err)
				}
				for _, a := range list {
					found[key(a.Addr)] = true
				}
			case "message-id":
				fields[name]++
			}
		}
		want := map[addr.Key]bool{key("bob@example.net"): true, key("carol@example.net"): true}
		if !maps.Equal(found, want) || fields["to"] > 1 || fields["cc"] > 1 || fields["bcc"] > 1 || fields["message-id"] != 1 || header.Get(section, "Message-ID") != id {
			t.Errorf("%q has become %q", text, got)
		}
		var s header.Scanner
		s.Scan([]byte(text), true)
		if !strings.HasSuffix(string(got), text[s.End:]) {
			t.Errorf("the body of %q is another one in %q", text, got)
		}
	})
}

// Twice the input takes about twice the time.
func TestDoubling(t *testing.T) {
	rcpts := queue.Rcpt("bob@example.net")
	doubling.Time(t, map[string]func(string){
		"compose": func(s string) {
			compose(&queue.Message{ID: "m1", From: "a@b", Content: queue.String("To: " + s)}, rcpts)
		},
		"errorCode": func(s string) { errorCode(strings.NewReader(`{"error":{"code":"` + s)) },
	}, append([]string{"To: a@b\r\n"}, doubling.Units...))
}
