package smtpclient

import "github.com/bridgehead-mail/bridgehead/internal/addr"

// merge removes duplicate recipients from d.todo, so that one RCPT command
// serves them all. Duplicates have the same address (A-label and U-label forms
// of a domain are equal) and the same parameters, except those that the host
// has no extension for. merge sets d.same.
func (d *delivery) merge(c *Client, t terms) {
	d.same = nil
	if len(d.todo) < 2 {
		return
	}
	first := make(map[string]int, len(d.todo))
	todo := d.todo[:0]
	var line []byte
	for _, i := range d.todo {
		r := d.m.Recipients[i]
		if local, domain := addr.Split(r.Addr); domain != "" {
			if canonical, err := addr.Domain(domain); err == nil {
				r.Addr = local + "@" + canonical
			}
		}
		line = c.appendRcpt(line[:0], &r, t)
		of, ok := first[string(line)]
		if !ok {
			first[string(line)] = i
			todo = append(todo, i)
			continue
		}
		if d.same == nil {
			d.same = make(map[int][]int)
		}
		d.same[of] = append(d.same[of], i)
	}
	d.todo = todo
}

// answer gives each duplicate the result of the recipient that was sent.
func (d *delivery) answer() {
	for of := range d.same {
		if f := d.states[of]; f != open && f != accepted {
			d.answerSame(of)
		}
	}
}

func (d *delivery) answerSame(of int) {
	for _, i := range d.same[of] {
		d.results[i], d.states[i] = d.results[of], d.states[of]
	}
}
