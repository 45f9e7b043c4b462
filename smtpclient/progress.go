package smtpclient

// progress passes the recipients that were delivered since the last call to
// Message.Progress. It is called before Send waits for anything else.
func (d *delivery) progress() {
	if len(d.delivered) == 0 {
		return
	}
	rcpts := d.delivered
	for _, i := range rcpts {
		d.answerSame(i)
		d.delivered = append(d.delivered, d.same[i]...)
	}
	d.m.Progress(d.delivered, d.results)
	d.delivered = d.delivered[:0]
}
