try { null.x } catch (e) { e.message.length }
