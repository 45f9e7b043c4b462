package console

import (
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// checkView has the findings of a check.
type checkView struct {
	Checked  bool           `json:"checked" doc:"False in the answer to GET."`
	Findings []site.Finding `json:"findings"`
}

func showCheck(*call, struct{}) (*checkView, error) {
	return &checkView{Findings: []site.Finding{}}, nil
}

func check(x *call, _ struct{}) (*checkView, error) {
	v := &checkView{Checked: true, Findings: []site.Finding{}}
	v.Findings = append(v.Findings, x.console.Gateway.Check(x.ctx())...)
	return v, nil
}

// Count returns the number of findings of a severity.
func (v *checkView) Count(severity string) (n int) {
	for i := range v.Findings {
		if v.Findings[i].Severity.String() == severity {
			n++
		}
	}
	return n
}
