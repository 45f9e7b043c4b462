package routing

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// ErrorPolicy.Explain adds a text to refusals of hosts, before the other settings of
// the policy change their codes.
func TestErrorPolicyExplains(t *testing.T) {
	policy := ErrorPolicy{Downgrade: []string{"5.7.30"}, Explain: func(r *smtp.SMTPError) string {
		if r.EnhancedCode == (smtp.EnhancedCode{5, 7, 30}) {
			return "use OAuth"
		}
		return ""
	}}
	c := table(t, Connector{Name: "c", Spaces: []string{"*"}, Errors: policy}).connectors[0]
	for _, tt := range []struct {
		outcome queue.Outcome
		host    string
		reply   smtp.SMTPError
		want    string
	}{
		{queue.Failure, "smtp.example", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 30}, Message: "no"}, "deferred 451 4.7.30 no [use OAuth]"},
		{queue.Unreachable, "smtp.example", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 30}, Message: "no"}, "unreachable 550 5.7.30 no [use OAuth]"},
		{queue.Failure, "smtp.example", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}, "failure 550 5.7.1 no"},
		{queue.Unreachable, "", smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 30}, Message: "made here"}, "unreachable 550 5.7.30 made here"},
		{queue.Success, "smtp.example", smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{5, 7, 30}, Message: "ok"}, "success 250 5.7.30 ok"},
	} {
		r := queue.Result{Outcome: tt.outcome, Host: tt.host, Reply: tt.reply}
		c.applyErrorPolicy(&r)
		if got := strings.Join([]string{r.Outcome.String(), code(&r.Reply), r.Reply.Message}, " "); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
