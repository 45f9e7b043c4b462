package tlsrpt

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseRecord": func(s string) { ParseRecord([]string{"v=TLSRPTv1; rua=" + s}) },
		"Report":      func(s string) { new(Report).UnmarshalJSON([]byte(s)) },
		"Report, policies": func(s string) {
			new(Report).UnmarshalJSON([]byte(`{"policies":[` + strings.Repeat(`{"policy":{"policy-type":"sts"}},`, len(s)/32) + `{}]}`))
		},
		"ParseRecord, tags": func(s string) { ParseRecord([]string{"v=TLSRPTv1; " + s}) },
	}, doubling.Units)
}
