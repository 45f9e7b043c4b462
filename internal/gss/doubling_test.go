package gss

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Unframe": func(s string) { Unframe(Frame(APReq, []byte(s))) },
		"Unwrap": func(s string) {
			token, err := Wrap(Sender{}, []byte(s), sum)
			if err != nil {
				t.Error(err)
			}
			token[7] = 12 // rotated
			Unwrap(token, false, sum)
		},
	}, []string{"a", "\x00"})
}
