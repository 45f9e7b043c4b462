package smtpserver

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"parseProxy, version 1": func(s string) { parseProxy([]byte("PROXY TCP4 " + s)) },
		"parseProxy, version 2": func(s string) { parseProxy([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + s)) },
		"parseBDAT":             func(s string) { parseBDAT(s) },
		"SetContent":            func(s string) { new(Message).SetContent(content.Of([]byte(s))) },
		"parseParams":           func(s string) { parseParams(s, func(string, string) *paramError { return nil }) },
		"parseOAuthBearer":      func(s string) { parseOAuthBearer([]byte("n,a=" + s)) },
		"parseXOAuth2":          func(s string) { parseXOAuth2([]byte("user=" + s)) },
	}, doubling.Units)
}
