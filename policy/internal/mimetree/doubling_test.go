package mimetree

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// walk parses a message and reads all that the filters read of its parts.
func walk(s string) {
	parts, _ := Parse(queue.String(s).(Content), Limits{})
	for i := range parts {
		parts[i].Names()
		parts[i].Types()
	}
}

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Parse":       func(s string) { walk(s) },
		"Parse, body": func(s string) { walk("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + s) },
		"Parse, part": func(s string) {
			walk("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + s + "\r\n\r\nx\r\n--b--\r\n")
		},
		"Parse, type": func(s string) { walk("Content-Type: multipart/mixed; boundary=b; " + s + "\r\n\r\n--b\r\n") },
		"Parse, name": func(s string) {
			walk("Content-Disposition: attachment; filename=" + strings.ReplaceAll(s, "\r\n", "") + "\r\n\r\nx\r\n")
		},
		"Parse, digest":  func(s string) { walk("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n" + s) },
		"DecodeWords":    func(s string) { DecodeWords(s) },
		"DecodeWords, q": func(s string) { DecodeWords("=?utf-8?q?" + s) },
		"Match":          func(s string) { Match("*a*b*c*.exe", s) },
	}, doubling.Units)
}
