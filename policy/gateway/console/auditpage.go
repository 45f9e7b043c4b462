package console

import "slices"

// auditParams select entries of the audit log.
type auditParams struct {
	Before int64 `param:"before" doc:"Only entries with a smaller number."`
	Limit  int   `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// auditView is a page of the audit log.
type auditView struct {
	Entries []auditEntry `json:"entries"`
	Next    int64        `json:"next,omitempty" doc:"The value of the parameter before for the next page."`
}

func showAudit(x *call, p auditParams) (*auditView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	entries := x.console.audit.newest(p.Before, limit+1)
	v := &auditView{Entries: entries[:min(len(entries), limit)]}
	if len(entries) > limit {
		v.Next = entries[limit-1].ID
	}
	return v, nil
}

// newest returns up to n entries with a number less than before, the newest
// first. 0 means all numbers.
func (a *auditLog) newest(before int64, n int) []auditEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []auditEntry{}
	for _, e := range slices.Backward(a.entries) {
		if len(all) < n && (before == 0 || e.ID < before) {
			all = append(all, e)
		}
	}
	return all
}
